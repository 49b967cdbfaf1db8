// Ranking: where another λ would cut, and which images would change sides.
{
  const rankings = JSON.parse(document.getElementById("data").textContent).rankings;
  const NAMED = 12;
  const named = (images) => images.slice(0, NAMED).join(", ") + (images.length > NAMED ? `, and ${images.length - NAMED} more` : "");
  const plural = (count) => `${count} image${count === 1 ? "" : "s"}`;

  for (const part of document.querySelectorAll("[data-ranking]")) {
    const { images, scores, easy } = rankings[part.dataset.ranking];
    const [slider, output] = [part.querySelector("input"), part.querySelector("output")];
    const chart = part.previousElementSibling.querySelector("svg");
    const cut = chart && document.createElementNS(chart.namespaceURI, "path");
    if (cut) {
      cut.setAttribute("class", "cut");
      chart.append(cut);
    }
    slider.addEventListener("input", () => {
      // As the ranking does: the product of doubles, truncated.
      const others = Math.trunc(images.length * Number(slider.value));
      if (cut) {
        const [left, right, bottom, top] = chart.dataset.frame.split(" ").map(Number);
        const at = left + others / images.length * (right - left);
        cut.setAttribute("d", `M${at} ${top}V${bottom}`);
      }
      const lines = [`λ = ${slider.value}: ${others} easy, ${images.length - others} hard`];
      if (others > 0 && others < images.length && scores[others] !== null) lines[0] += `, cut at entropy ${Number((scores[others] * Number(part.dataset.scale)).toPrecision(3))}`;
      const moved = others > easy ? images.slice(easy, others) : images.slice(others, easy);
      const side = others > easy ? "easy" : "hard";
      if (moved.length > 0) lines.push(`${plural(moved.length)} would become ${side}: ${named(moved)}`);
      const command = document.createElement("code");
      command.textContent = part.dataset.command + slider.value + part.dataset.rest;
      const isOne = others > 0 && others < images.length;
      output.replaceChildren(...lines.flatMap((line) => [line, document.createElement("br")]), isOne ? command : "each part needs an image");
    });
  }
}
