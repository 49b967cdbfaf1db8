// The lightbox: a row of pictures of one image, one at a time or side by side, with zoom, and the class under the pointer.
// Knows rows, not where they come from: a row has a name, links and pictures, a picture a title, a note, and functions that
// give its photograph and its map.
const lightbox = (() => {
  const dialog = document.createElement("dialog");
  dialog.className = "lightbox";
  dialog.setAttribute("aria-labelledby", "lightbox-name");
  dialog.innerHTML = `
    <header><h2 id="lightbox-name"></h2><p class="about"></p><p class="links"></p>
      <p class="tools">
        <label><input type="checkbox" name="beside"> side by side</label>
        <label>maps <input type="range" name="fade" min="0" max="100" value="100"></label>
        <span><button type="button" name="out" aria-label="zoom out">−</button><button type="button" name="whole">whole picture</button><button
          type="button" name="in" aria-label="zoom in">+</button></span>
        <button type="button" name="close">close</button></p></header>
    <div class="panes"></div>
    <p class="under" role="status"></p>
    <p class="classes-here" role="group" aria-label="classes of this image"></p>
    <p class="move"><button type="button" name="back" aria-label="previous picture">←</button><span class="caption"></span><button
      type="button" name="on" aria-label="next picture">→</button></p>
    <p class="note help">arrow keys: other pictures and images · + − 0: zoom · drag or Shift and arrow keys: move · hold B: the picture to the left</p>`;
  const part = (selector) => dialog.querySelector(selector);
  const control = (name) => part(`[name=${name}]`);
  const [panes, caption, under, classesHere] = [".panes", ".caption", ".under", ".classes-here"].map(part);

  let set = null, row = null, at = [0, 0], shown = [], turn = 0;
  const view = { scale: 1, x: 0, y: 0 };

  const looks = () => {
    for (const { stack } of shown) {
      stack.style.transform = `translate(${100 * view.x}%, ${100 * view.y}%) scale(${view.scale})`;
      stack.style.imageRendering = view.scale > 2 ? "pixelated" : "auto";
    }
  };
  // Zooms and keeps what is at this place of the picture's box, both from 0 to 1.
  const zoom = (factor, x = 0.5, y = 0.5) => {
    const scale = Math.min(16, Math.max(1, view.scale * factor));
    view.x = x - (x - view.x) / view.scale * scale;
    view.y = y - (y - view.y) / view.scale * scale;
    view.scale = scale;
    pan(0, 0);
  };
  const pan = (x, y) => {
    const least = 1 - view.scale;
    view.x = Math.min(0, Math.max(least, view.x + x));
    view.y = Math.min(0, Math.max(least, view.y + y));
    looks();
    if (view.scale > 1) tell(0.5, 0.5);
  };
  const whole = () => { Object.assign(view, { scale: 1, x: 0, y: 0 }); looks(); under.textContent = ""; };

  // What all maps of the row have at a place of the box.
  const tell = (x, y) => {
    const [u, v] = [(x - view.x) / view.scale, (y - view.y) / view.scale];
    if (u < 0 || v < 0 || u >= 1 || v >= 1) return;
    const parts = shown.filter(({ map }) => map).map(({ title, map }) => `${title}: ${maps.at(map, u, v)}`);
    const others = row.known.filter(({ title, map }) => map && !shown.some((pane) => pane.title === title))
      .map(({ title, map }) => `${title}: ${maps.at(map, u, v)}`);
    under.textContent = [...parts, ...others].join(" · ");
  };

  const fade = () => { for (const { over } of shown) if (over) over.style.opacity = control("fade").value / 100; };
  const redraw = () => {
    for (const pane of shown) {
      if (!pane.over) continue;
      const drawn = maps.drawn(pane.map);
      drawn.className = "map";
      pane.over.replaceWith(drawn);
      pane.over = drawn;
    }
    fade();
  };
  const draw = async (picture) => {
    const [photograph, map] = await Promise.all([picture.photograph?.(), picture.map?.()]);
    const figure = document.createElement("figure"), box = document.createElement("div"), stack = document.createElement("div");
    const over = map ? maps.drawn(map) : null;
    const [width, height] = photograph ? [photograph.naturalWidth || photograph.width, photograph.naturalHeight || photograph.height] : [map?.width ?? 2, map?.height ?? 1];
    box.className = "box";
    box.style.aspectRatio = `${width} / ${height}`;
    // Narrower than the window where the height wouldn't fit.
    box.style.maxWidth = `calc(${control("beside").checked ? 40 : 62}vh * ${width / height})`;
    box.setAttribute("role", "img");
    box.setAttribute("aria-label", [picture.title, map && maps.said(map)].filter(Boolean).join(": "));
    stack.className = "stack";
    if (photograph) {
      const below = Object.assign(document.createElement("canvas"), { width, height });
      below.getContext("2d").drawImage(photograph, 0, 0, width, height);
      stack.append(below);
    }
    if (over) { over.className = "map"; stack.append(over); }
    box.append(stack);
    const text = document.createElement("figcaption");
    text.textContent = picture.title + (picture.note ? ` — ${picture.note}` : "");
    figure.append(box, text);
    return { title: picture.title, figure, box, stack, over, map };
  };

  const key = () => {
    const map = shown.find(({ map }) => map?.kind === "classes")?.map ?? row.known.find(({ map }) => map?.kind === "classes")?.map;
    classesHere.replaceChildren(...(map ? maps.shares(map) : []).filter(({ value }) => maps.classes[value]).map(({ value, share }) => {
      const square = document.createElement("span");
      square.className = "swatch";
      square.style.backgroundColor = `rgb(${maps.classes[value].colour.join()})`;
      return legend.button(value, [square, ` ${maps.classes[value].name} ${(100 * share).toFixed(1)} %`]);
    }));
  };

  const show = async () => {
    const mine = ++turn;
    const { name, about, links, pictures } = row;
    const isBeside = control("beside").checked;
    part("h2").textContent = name;
    part(".about").textContent = about ?? "";
    part(".links").replaceChildren(...(links ?? []).flatMap(({ text, href }) => {
      const link = Object.assign(document.createElement("a"), { textContent: text, href, target: "_blank", rel: "noopener" });
      return [link, " "];
    }));
    const picture = pictures[at[1]];
    caption.textContent = `${picture.title} of ${name}${picture.note ? ` — ${picture.note}` : ""}`;
    const drawn = await Promise.all((isBeside ? pictures : [picture]).map(draw));
    if (mine !== turn) return;
    shown = drawn;
    panes.classList.toggle("beside", isBeside);
    // Rows of about the same number of pictures.
    const fitting = Math.max(1, Math.round(panes.clientWidth / 360)), rows = Math.ceil(shown.length / fitting);
    panes.style.gridTemplateColumns = `repeat(${Math.ceil(shown.length / rows)}, minmax(0, 1fr))`;
    panes.replaceChildren(...shown.map(({ figure }) => figure));
    if (isBeside) shown[at[1]].figure.setAttribute("aria-current", "true");
    fade();
    looks();
    // The others of this image, for the class under the pointer.
    const known = await Promise.all(pictures.map(async ({ title, map }) => ({ title, map: await map?.() })));
    if (mine !== turn) return;
    row.known = known;
    key();
  };
  const go = async (down, across) => {
    const place = [at[0] + down, at[1] + across];
    const next = down ? set.row(place[0]) : row;
    if (!next || !next.pictures[place[1]]) return;
    if (down) { row = { known: [], ...next }; under.textContent = ""; }
    at = place;
    await show();
  };
  const open = (rows, image, picture) => {
    set = rows;
    at = [image, picture];
    row = { known: [], ...rows.row(image) };
    under.textContent = "";
    Object.assign(view, { scale: 1, x: 0, y: 0 });
    if (!dialog.open) dialog.showModal();
    return show();
  };

  const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  let held = false;
  dialog.addEventListener("keydown", (event) => {
    const isTyped = event.target.type === "range";
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (moves[event.key] && event.shiftKey) pan(-moves[event.key][1] / 10, -moves[event.key][0] / 10);
    else if (moves[event.key] && !isTyped) go(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") zoom(1.5);
    else if (event.key === "-") zoom(1 / 1.5);
    else if (event.key === "0") whole();
    else if (event.key === "b" && !held && at[1] > 0) { held = true; go(0, -1); }
    else return;
    event.preventDefault();
  });
  const steady = () => { if (held) { held = false; go(0, 1); } };
  addEventListener("keyup", (event) => { if (event.key === "b") steady(); });
  addEventListener("blur", steady);

  const place = (event) => {
    const box = event.target.closest?.(".box")?.getBoundingClientRect();
    return box && [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height, box];
  };
  let drag = null;
  panes.addEventListener("pointerdown", (event) => {
    const found = place(event);
    if (found && view.scale > 1) { drag = [event.clientX, event.clientY, found[2]]; event.preventDefault(); }
  });
  panes.addEventListener("pointermove", (event) => {
    if (drag) {
      pan((event.clientX - drag[0]) / drag[2].width, (event.clientY - drag[1]) / drag[2].height);
      drag = [event.clientX, event.clientY, drag[2]];
    }
    const found = place(event);
    if (found) tell(found[0], found[1]);
  });
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => { drag = null; });
  panes.addEventListener("wheel", (event) => {
    const found = place(event);
    if (!found) return;
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.25 : 0.8, found[0], found[1]);
  }, { passive: false });
  panes.addEventListener("dblclick", (event) => { const found = place(event); if (found) zoom(2, found[0], found[1]); });

  control("beside").addEventListener("change", show);
  control("fade").addEventListener("input", fade);
  control("in").addEventListener("click", () => zoom(1.5));
  control("out").addEventListener("click", () => zoom(1 / 1.5));
  control("whole").addEventListener("click", whole);
  control("back").addEventListener("click", () => go(0, -1));
  control("on").addEventListener("click", () => go(0, 1));
  control("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => { turn += 1; set?.closed?.(at); });
  maps.listen(() => { if (dialog.open) redraw(); });
  document.body.append(dialog);
  return { open };
})();
