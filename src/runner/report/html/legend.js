// Legends: a click on a class hides it in all maps, with Shift it shows this class alone.
const legend = (() => {
  const buttons = [];
  const hint = "click: hide or show · Shift and click: this class alone";
  const button = (value, content) => {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "class";
    made.title = hint;
    made.append(...content);
    made.addEventListener("click", (event) => event.shiftKey ? maps.solo(value) : maps.toggle(value));
    buttons.push([new WeakRef(made), value]);
    made.setAttribute("aria-pressed", !maps.hidden.has(value));
    return made;
  };
  for (const key of all(".classes-key")) {
    for (const entry of all("[data-class]", key)) entry.replaceWith(button(Number(entry.dataset.class), entry.childNodes));
    const everything = document.createElement("button");
    everything.type = "button";
    everything.className = "class every";
    everything.textContent = "show all classes";
    everything.hidden = true;
    everything.addEventListener("click", maps.showAll);
    key.append(everything);
  }

  const elements = all("img[data-map=classes]");
  const recolour = async (element) => {
    const map = await maps.ofElement(element);
    element.dataset.whole ??= element.src;
    element.src = maps.hidden.size === 0 ? element.dataset.whole : maps.drawn(map).toDataURL();
  };
  maps.listen(() => {
    for (const [reference, value] of buttons) reference.deref()?.setAttribute("aria-pressed", !maps.hidden.has(value));
    for (const everything of all(".class.every")) everything.hidden = maps.hidden.size === 0;
    elements.forEach(recolour);
  });
  return { button, hint };
})();
