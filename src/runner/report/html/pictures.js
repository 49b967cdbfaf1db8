// Pictures: enlarging one, fading the maps, blinking between two networks.
{
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  for (const hidden of all(".scripted")) hidden.hidden = false;

  const sliders = all(".opacity");
  const fade = (value) => {
    for (const slider of sliders) slider.value = value;
    for (const map of all(".over > img")) map.style.opacity = value / 100;
  };
  for (const slider of sliders) slider.addEventListener("input", () => fade(slider.value));

  // In a dialog, the arrows lead through a row and to the rows beside it: one glance compares what lies side by side.
  const row = (cell) => cell.closest("tr, .column");
  const dialog = document.createElement("dialog");
  dialog.innerHTML = "<div></div><p><button>←</button><span></span><button>→</button></p>";
  const [picture, , back, caption, on] = all("*", dialog);
  let shown = null;
  const described = (cell) => {
    const said = cell.nextElementSibling;
    return cell.title + (said && said.textContent ? " — " + said.innerText.replaceAll("\n", ", ") : "");
  };
  const show = (cell) => {
    if (!cell) return;
    shown = cell;
    picture.className = cell.className;
    picture.replaceChildren(...all(":scope > img", cell).map((map) => map.cloneNode()));
    caption.textContent = described(cell);
    if (!dialog.open) dialog.showModal();
  };
  const beside = (steps) => {
    const cells = all(".over", row(shown));
    return cells[cells.indexOf(shown) + steps];
  };
  const below = (steps) => {
    const rows = [...row(shown).parentElement.children];
    const other = rows[rows.indexOf(row(shown)) + steps];
    return other && all(".over", other)[all(".over", row(shown)).indexOf(shown)];
  };
  const moves = { ArrowLeft: () => beside(-1), ArrowRight: () => beside(1), ArrowUp: () => below(-1), ArrowDown: () => below(1) };
  dialog.addEventListener("keydown", (event) => {
    if (!moves[event.key]) return;
    event.preventDefault();
    show(moves[event.key]());
  });
  back.addEventListener("click", () => show(beside(-1)));
  on.addEventListener("click", () => show(beside(1)));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => shown.focus());
  document.body.append(dialog);
  for (const cell of all(".over")) {
    // One stop of the Tab key a row: the arrows reach its other cells.
    cell.tabIndex = all(".over", row(cell))[0] === cell ? 0 : -1;
    cell.addEventListener("click", () => show(cell));
    cell.addEventListener("keydown", (event) => { if (event.key === "Enter") show(cell); });
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
    const map = dialog.open && picture.querySelector("img");
    const before = map && beside(-1)?.querySelector("img");
    if (before) {
      undo.push([map, "src", map.src], [caption, "textContent", caption.textContent]);
      map.src = before.src;
      caption.textContent = described(beside(-1));
    }
  };
  addEventListener("keydown", (event) => {
    const isPlain = event.key === "b" && !event.ctrlKey && !event.metaKey && !event.altKey;
    if (isPlain && !event.repeat && undo.length === 0 && event.target.tagName !== "SELECT") blink();
  });
  const steady = () => {
    for (const [element, what, value] of undo) element[what] = value;
    undo = [];
  };
  addEventListener("keyup", (event) => { if (event.key === "b") steady(); });
  addEventListener("blur", steady);
}
