// Galleries: all images of a stage in a table, filtered, sorted and searched, a few rows at a time.

// The files of an image in `runs/`.
const linksOf = (gallery, image) => gallery.links.filter(({ of }) => !of || of.includes(image)).map(({ text, folder, ending }) => {
  const stem = gallery.images[image].replace(/\.(png|jpe?g|tiff?|bmp|webp|gif|p[bgp]m)$/i, "");
  return { text, href: folder + stem.split("/").map(encodeURIComponent).join("/") + "." + ending };
});

{
  const ROWS = 24;
  const element = (name, properties = {}, ...content) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...content);
    return made;
  };
  const labelled = (text, control) => element("label", {}, text + " ", control);
  const written = (column, value) => value === null || value === "" ? "–"
    : typeof value === "string" ? value
    : (column.unit.startsWith("points") && value > 0 ? "+" : "") + value.toFixed(column.digits).replace("-", "−");

  const build = (place, number) => {
    const gallery = maps.galleries[number], { images, present, thumbnails } = gallery;
    // A phone shows the judged network first.
    const isNarrow = matchMedia("(max-width: 640px)").matches;
    const columns = gallery.columns.toSorted((a, b) => isNarrow ? b.judged - a.judged : 0);
    const id = (name) => `gallery-${gallery.stage}-${name}`;
    const withNumbers = columns.map((column, at) => [column, at]).filter(([{ values }]) => typeof values?.[0] === "number" || values?.some((it) => typeof it === "number"));
    const words = columns.find(({ values }) => typeof values?.[0] === "string");
    const state = { order: null, descending: false, page: 0, rows: [] };

    // Filters.
    const search = element("input", { type: "search", id: id("name"), placeholder: "part of the name" });
    const column = element("select", { id: id("column") }, ...withNumbers.map(([{ title, unit }, at]) => new Option(`${title} (${unit})`, at)));
    const [least, most] = ["least", "most"].map((name) => element("input", { type: "number", step: "any", id: id(name) }));
    const inLabel = element("select", { id: id("class") }, new Option("any", ""), ...maps.classes.map(({ name }, at) => new Option(name, at)));
    const part = words && element("select", { id: id("part") }, new Option("any", ""), ...[...new Set(words.values)].map((word) => new Option(word || "none", word)));
    const reset = element("button", { type: "button", textContent: "clear filters" });
    const count = element("output", { className: "count" });
    count.setAttribute("role", "status");
    const controls = element("div", { className: "filters" }, labelled("name", search));
    if (withNumbers.length > 0) controls.append(labelled("only with", column), labelled("from", least), labelled("to", most));
    if (present) controls.append(labelled("with class", inLabel));
    if (part) controls.append(labelled(words.title, part));
    controls.append(reset, count);

    // The table.
    const head = element("tr"), body = element("tbody");
    const table = element("table", { className: "images" }, element("thead", {}, head), body);
    table.setAttribute("aria-label", `images of ${gallery.name}`);
    const buttons = [];
    const sortable = (title, unit, order) => {
      const button = element("button", { type: "button" }, title);
      const th = element("th", { scope: "col" }, button);
      if (unit) th.append(element("small", {}, unit));
      button.addEventListener("click", () => {
        state.descending = state.order === order ? !state.descending : order !== "name";
        state.order = order;
        update();
      });
      buttons.push([th, button, order]);
      return th;
    };
    head.append(sortable("image", "", "name"), ...columns.map(({ title, unit, values }, at) =>
      values ? sortable(title, unit, at) : element("th", { scope: "col" }, title)));

    const [back, on] = [["←", "previous images"], ["→", "next images"]].map(([textContent, title]) => {
      const button = element("button", { type: "button", textContent });
      button.setAttribute("aria-label", title);
      return button;
    });
    const pages = element("span");
    const turning = element("p", { className: "turning noprint" }, back, pages, on);

    // One image as the lightbox shows it: from the large pictures, where the page has them.
    const large = new Map(all(`tr[data-stage="${gallery.stage}"]`).map((row) => [Number(row.dataset.image), row]));
    const isPictured = (map, image) => map && maps.has(thumbnails, map[0], image);
    const row = (at) => {
      const image = state.rows[at];
      if (image === undefined) return null;
      const name = images[image], links = linksOf(gallery, image);
      const values = columns.filter(({ values }) => values).map((column) => `${column.title} ${written(column, column.values[image])}`).join(" · ");
      if (large.has(image)) return { name, about: values, links, pictures: pictures.described(large.get(image)).pictures };
      const photograph = () => maps.photograph(thumbnails, image);
      const small = columns.filter(({ map }) => isPictured(map, image)).map((column) => ({
        title: column.title,
        note: column.values ? `${written(column, column.values[image])} (${column.unit})` : "",
        photograph,
        map: () => maps.thumbnail(thumbnails, column.map[0], column.map[1], image),
      }));
      return { name, about: values, links, pictures: [{ title: "photograph", note: "thumbnail", photograph, map: null }, ...small] };
    };
    const open = (at, column) => thumbnails && lightbox.open({
      row,
      closed: ([at]) => {
        state.page = Math.floor(at / ROWS);
        render();
        all("tr", body)[at % ROWS]?.querySelector("button")?.focus();
      },
    }, at, column);

    const fill = async (canvas, image, map) => {
      try {
        const photograph = await maps.photograph(thumbnails, image);
        const over = map && maps.drawn(await maps.thumbnail(thumbnails, ...map, image));
        Object.assign(canvas, { width: photograph.width, height: photograph.height });
        const context = canvas.getContext("2d");
        context.drawImage(photograph, 0, 0);
        if (over) context.drawImage(over, 0, 0);
      } catch {
        // A picture that can't be decoded leaves an empty cell: its numbers still say what is known.
      }
    };
    const cell = (at, image, column, picture) => {
      const td = element("td");
      if (column === null) td.className = "name";
      const map = column?.map;
      if (thumbnails && (column === null || isPictured(map, image))) {
        const canvas = element("canvas", { width: 96, height: 48 });
        const button = element("button", { type: "button", className: "thumb", tabIndex: column === null ? 0 : -1 }, canvas);
        button.setAttribute("aria-label", `enlarge ${column?.title ?? "photograph"} of ${images[image]}`);
        button.addEventListener("click", () => open(at, picture));
        fill(canvas, image, map);
        td.append(button);
      }
      const value = column === null ? images[image] : column.values ? written(column, column.values[image]) : "";
      if (value !== "") td.append(element("span", {}, value));
      // For narrow screens, where there is no head.
      if (column) td.dataset.title = column.title;
      return td;
    };
    const render = () => {
      const first = state.page * ROWS, last = Math.min(first + ROWS, state.rows.length);
      body.replaceChildren(...state.rows.slice(first, last).map((image, offset) => {
        let picture = 0;
        const cells = columns.map((column) => cell(first + offset, image, column, thumbnails && isPictured(column.map, image) ? ++picture : 0));
        return element("tr", {}, cell(first + offset, image, null, 0), ...cells);
      }));
      pages.textContent = ` ${state.rows.length === 0 ? 0 : first + 1} to ${last} of ${state.rows.length.toLocaleString("en")} `;
      back.disabled = state.page === 0;
      on.disabled = last >= state.rows.length;
      turning.hidden = state.rows.length <= ROWS;
      for (const [th, button, order] of buttons) {
        const isOrder = state.order === order;
        th.setAttribute("aria-sort", isOrder ? (state.descending ? "descending" : "ascending") : "none");
        button.dataset.sorted = isOrder ? (state.descending ? "▾" : "▴") : "";
      }
    };
    const update = () => {
      const wanted = search.value.trim().toLowerCase(), values = columns[Number(column.value)]?.values;
      const [low, high] = [least, most].map((input) => input.value === "" ? null : Number(input.value));
      const isIn = (image) => {
        const value = values?.[image];
        const digit = inLabel.value !== "" && present && parseInt(present[image][inLabel.value >> 2], 16);
        return images[image].toLowerCase().includes(wanted)
          && (low === null || (value !== null && value >= low)) && (high === null || (value !== null && value <= high))
          && (inLabel.value === "" || !present || (digit >> (inLabel.value & 3)) & 1)
          && (!part || part.value === "" || words.values[image] === part.value);
      };
      state.rows = images.map((_, at) => at).filter(isIn);
      const by = state.order === "name" ? images : columns[state.order]?.values;
      if (by) {
        const sign = state.descending ? -1 : 1;
        const isNone = (value) => value === null || value === "";
        // What is undefined comes last in both directions.
        state.rows.sort((a, b) => isNone(by[a]) - isNone(by[b]) || (by[a] < by[b] ? -sign : by[a] > by[b] ? sign : 0));
      }
      state.page = 0;
      count.textContent = `${state.rows.length.toLocaleString("en")} of ${images.length.toLocaleString("en")} images`;
      render();
    };
    for (const control of [search, column, least, most, inLabel, part].filter(Boolean)) control.addEventListener("input", update);
    reset.addEventListener("click", () => {
      for (const control of [search, least, most, inLabel, part].filter(Boolean)) control.value = "";
      update();
    });
    const turn = (by) => { state.page += by; render(); };
    back.addEventListener("click", () => turn(-1));
    on.addEventListener("click", () => turn(1));
    maps.listen(render);
    for (const control of all("[id]", controls)) control.value = live.value(control.id) ?? control.value;
    place.append(controls, element("div", { className: "wide" }, table), turning);
    update();
  };

  // A gallery is built when it comes into view: most readers look at the first.
  const places = all(".gallery");
  const built = new Set();
  const make = (place) => { if (!built.has(place)) { built.add(place); build(place, Number(place.dataset.gallery)); } };
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) { seen.unobserve(target); make(target); }
  }, { rootMargin: "400px" });
  places.forEach((place) => {
    place.hidden = false;
    if (live.isKept(maps.galleries[place.dataset.gallery].stage)) make(place);
    else seen.observe(place);
  });
  live.scroll();
  addEventListener("beforeprint", () => places.forEach(make));
}
