// Charts: another order of the classes, and the values of curves where the pointer is.
{
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  for (const table of all("table.iou")) {
    const body = table.querySelector(".classes");
    const orders = document.createElement("p");
    orders.className = "orders note noprint";
    orders.append("Order of the classes: ");
    const rows = [...body.rows];
    const by = { "as in the file": null, "by gain": "gain", "by IoU": "iou" };
    for (const [name, measure] of Object.entries(by)) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.setAttribute("aria-pressed", measure === null);
      button.addEventListener("click", () => {
        // What is undefined comes last.
        const worth = row => row.dataset[measure] === "" ? -Infinity : Number(row.dataset[measure]);
        body.append(...(measure ? [...rows].sort((a, b) => worth(b) - worth(a)) : rows));
        for (const other of all("button", orders)) other.setAttribute("aria-pressed", other === button);
      });
      if (measure !== "gain" || rows.some(row => row.dataset.gain !== "")) orders.append(button, " ");
    }
    table.parentElement.before(orders);
  }

  const number = (value, digits) => String(Number(value.toPrecision(digits)));
  for (const chart of all("svg.chart")) {
    const [left, right, bottom, top] = chart.dataset.frame.split(" ").map(Number);
    const scale = (ends, from, to) => {
      const [low, high, logarithmic] = ends.split(" ").map(Number);
      return at => {
        const share = (at - from) / (to - from);
        return logarithmic ? low * (high / low) ** share : low + (high - low) * share;
      };
    };
    const x = scale(chart.dataset.x, left, right), y = scale(chart.dataset.y, bottom, top);
    const lines = all(".line", chart).map(path => ({
      name: path.dataset.name,
      points: path.getAttribute("d").slice(1).split("L").map(point => point.split(" ").map(Number)),
    }));
    if (lines.length === 0) continue;
    const values = document.createElement("div"), rule = document.createElementNS(chart.namespaceURI, "path");
    values.className = "values";
    values.hidden = true;
    rule.setAttribute("class", "mark");
    chart.after(values);
    chart.addEventListener("pointermove", event => {
      const box = chart.getBoundingClientRect();
      const at = (event.clientX - box.left) / box.width * chart.viewBox.baseVal.width;
      const near = points => points.reduce((best, point) => Math.abs(point[0] - at) < Math.abs(best[0] - at) ? point : best);
      const nearest = lines.map(line => [line.name, near(line.points)]);
      const place = nearest[0][1][0];
      values.textContent = `${number(x(place), 4)}: ` + nearest.map(([name, point]) => `${name} ${number(y(point[1]), 3)}`).join(", ");
      values.hidden = false;
      rule.setAttribute("d", `M${place} ${top}V${bottom}`);
      chart.append(rule);
    });
    chart.addEventListener("pointerleave", () => {
      values.hidden = true;
      rule.remove();
    });
  }
}
