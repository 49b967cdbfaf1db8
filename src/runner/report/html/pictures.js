// Pictures in the page: enlarging one, fading the maps, blinking between two networks.
const pictures = (() => {
  for (const hidden of all(".scripted")) hidden.hidden = false;

  const sliders = all(".opacity");
  const fade = (value) => {
    for (const slider of sliders) slider.value = value;
    for (const map of all(".over > img")) map.style.opacity = value / 100;
  };
  for (const slider of sliders) slider.addEventListener("input", () => fade(slider.value));

  // A row is a table's row, or a column of pictures one above the other.
  const rowOf = (cell) => cell.closest("tr, .column");
  const cells = (row) => all(".over", row);
  const note = (cell) => {
    const said = cell.nextElementSibling;
    return said && said.textContent ? said.innerText.replaceAll("\n", ", ") : "";
  };
  const photograph = (cell) => {
    const found = getComputedStyle(cell).backgroundImage.match(/^url\("(.*)"\)$/);
    return found ? () => maps.load(found[1]) : null;
  };
  // "prediction of a.png" is a prediction, in the row of `a.png`.
  const title = (cell, name) => [` of ${name}`, `, ${name}`].reduce((text, end) => text.endsWith(end) ? text.slice(0, -end.length) : text, cell.title);
  const picture = (cell, name) => {
    const map = cell.querySelector("img");
    return { title: title(cell, name), note: note(cell), photograph: photograph(cell), map: map && (() => maps.ofElement(map)) };
  };
  const described = (row) => {
    const { name, stage, image } = row.dataset;
    const gallery = maps.galleries.find((of) => String(of.stage) === stage);
    const links = gallery ? linksOf(gallery, Number(image)) : [];
    return { name, links, pictures: cells(row).map((cell) => picture(cell, name)) };
  };
  const rowsBeside = (row) => {
    const rows = [...row.parentElement.children].filter((other) => cells(other).length > 0);
    return { rows, set: { row: (at) => rows[at] && described(rows[at]), closed: ([at, cell]) => cells(rows[at])[cell]?.focus() } };
  };
  const enlarge = (cell) => {
    const row = rowOf(cell), { rows, set } = rowsBeside(row);
    return lightbox.open(set, rows.indexOf(row), cells(row).indexOf(cell));
  };
  for (const cell of all(".over")) {
    // One stop of the Tab key a row: the arrows reach its other cells.
    cell.tabIndex = cells(rowOf(cell))[0] === cell ? 0 : -1;
    cell.addEventListener("click", () => enlarge(cell));
    cell.addEventListener("keydown", (event) => { if (event.key === "Enter") enlarge(cell); });
  }

  // While b is held, the judged network's cells show what the chosen one makes of their images.
  let undo = [];
  const blink = () => {
    for (const select of all("select.blink")) {
      const table = select.closest("p").nextElementSibling;
      const heads = all("th[data-network]", table);
      const [from, to] = [heads[select.value], heads[select.dataset.judged]];
      for (const tr of all("tbody tr", table)) {
        const [one, other] = [from, to].map((head) => tr.cells[head.cellIndex].querySelector(".over > img"));
        if (!one || !other) continue;
        undo.push([other, "src", other.src]);
        other.src = one.src;
        // What stands below belongs to the picture above it: its network's mIoU and place.
        const [said, below] = [one, other].map((map) => map.parentElement.nextElementSibling);
        undo.push([below, "innerHTML", below.innerHTML], [other.parentElement, "title", other.parentElement.title]);
        below.innerHTML = said.innerHTML;
        other.parentElement.title = one.parentElement.title;
      }
      undo.push([to, "textContent", to.textContent]);
      to.textContent = from.textContent;
    }
  };
  addEventListener("keydown", (event) => {
    const isPlain = event.key === "b" && !event.ctrlKey && !event.metaKey && !event.altKey;
    const isElsewhere = document.querySelector("dialog[open]") || ["SELECT", "INPUT"].includes(event.target.tagName);
    if (isPlain && !event.repeat && undo.length === 0 && !isElsewhere) blink();
  });
  const steady = () => {
    for (const [element, what, value] of undo) element[what] = value;
    undo = [];
  };
  addEventListener("keyup", (event) => { if (event.key === "b") steady(); });
  addEventListener("blur", steady);
  return { described };
})();
