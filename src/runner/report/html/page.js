"use strict";
// The page is whole without this. Here: opening what a link leads to, and the place in the navigation.
const open = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const parts = [];
  for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") parts.push(part);
  for (const part of parts) part.open = true;
  if (parts.length > 0) target.scrollIntoView();
};
addEventListener("hashchange", open);
open();

{
  const links = new Map([...document.querySelectorAll("nav.sections a")].map((link) => [link.hash.slice(1), link]));
  const visible = new Set();
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) visible[isIntersecting ? "add" : "delete"](target.id);
    const first = [...links.keys()].find((id) => visible.has(id));
    for (const [id, link] of links) {
      if (id !== first) link.removeAttribute("aria-current");
      else if (!link.hasAttribute("aria-current")) {
        link.setAttribute("aria-current", "true");
        // Sideways only: the reader decides where the page is.
        link.parentElement.scrollTo({ left: link.offsetLeft - 60 });
      }
    }
  }, { rootMargin: "-60px 0px -60% 0px" });
  for (const section of document.querySelectorAll("main > section")) seen.observe(section);
}
