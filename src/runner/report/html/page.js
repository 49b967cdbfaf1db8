"use strict";
// The page is whole without this. Here: transparency of the maps, and opening what a link leads to.
const opacity = document.getElementById("opacity");
if (opacity) {
  opacity.addEventListener("input", () => {
    for (const map of document.querySelectorAll(".over:not(.bare) > img")) map.style.opacity = opacity.value / 100;
  });
}
const open = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.tagName === "DETAILS") {
    target.open = true;
    target.scrollIntoView();
  }
};
addEventListener("hashchange", open);
open();
