// While a run goes on the page reloads itself, and what the reader has opened, chosen and scrolled to stays. A page of a run
// that has ended has no timer; one of a run that was killed stops after an hour without news.
const live = (() => {
  const EVERY = 20_000, LONGEST = 3_600_000;
  const { going, written } = maps.state;
  const key = `intrada ${location.pathname}`;
  // Storage may be forbidden: then a reload forgets.
  const storage = (use) => { try { return use(sessionStorage); } catch { return null; } };
  const saved = JSON.parse(storage((it) => it.getItem(key)) ?? "null");
  storage((it) => it.removeItem(key));

  const keep = () => storage((it) => it.setItem(key, JSON.stringify({
    scroll: scrollY,
    open: all("details[id]").filter((part) => part.open).map((part) => part.id),
    folded: all("details[id]").filter((part) => !part.open).map((part) => part.id),
    checked: all("input[type=radio]:checked").map((input) => input.id),
    values: Object.fromEntries(all(".filters [id]").map((control) => [control.id, control.value])),
  })));
  const restore = () => {
    if (!saved) return;
    for (const id of saved.open) document.getElementById(id)?.setAttribute("open", "");
    for (const id of saved.folded) document.getElementById(id)?.removeAttribute("open");
    for (const id of saved.checked) { const input = document.getElementById(id); if (input) input.checked = true; }
  };
  restore();

  // Not while a picture is enlarged or something is typed.
  const isBusy = () => document.hidden || document.querySelector("dialog[open]") || document.activeElement?.matches("input, select");
  const reload = () => {
    if (Date.now() - 1000 * written > LONGEST) return;
    if (isBusy()) return void setTimeout(reload, 2000);
    keep();
    location.reload();
  };
  if (going) setTimeout(reload, EVERY);
  return {
    going,
    // The value that a control had before the page reloaded itself.
    value: (id) => saved?.values[id],
    isKept: (place) => Object.keys(saved?.values ?? {}).some((id) => id.startsWith(`gallery-${place}-`)),
    scroll: () => { if (saved) scrollTo(0, saved.scroll); },
    keep,
  };
})();
