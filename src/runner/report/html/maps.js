// Maps as numbers: which class, which entropy a pixel has. Pictures of the page have colours, sheets of thumbnails the
// numbers themselves. Here too: which classes are hidden, which every view of a map heeds.
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

const maps = (() => {
  const { classes, entropy, galleries, state } = JSON.parse(document.getElementById("shown").textContent);
  const IGNORED = 255;
  const entropies = Array.from({ length: 256 }, (_, value) =>
    [0, 2, 4].map((at) => parseInt(entropy.substr(6 * value + at, 2), 16)));
  const errors = [[218, 222, 226], [200, 30, 60]];
  const hidden = new Set(), listeners = [];

  const load = async (url) => {
    const image = new Image();
    image.src = url;
    await image.decode();
    return image;
  };
  const canvas = (width, height) => Object.assign(document.createElement("canvas"), { width, height });
  const pixels = (picture, x, y, width, height) => {
    const context = canvas(width, height).getContext("2d", { willReadFrequently: true });
    context.drawImage(picture, x, y, width, height, 0, 0, width, height);
    return context.getImageData(0, 0, width, height).data;
  };

  // From colours back to numbers: the first class of a colour, as in the legend.
  const tables = {};
  const table = (kind) => {
    if (tables[kind]) return tables[kind];
    const colours = { classes: classes.map((of) => of.colour), entropy: entropies, errors }[kind];
    const values = new Map();
    colours.forEach(([red, green, blue], value) => {
      const key = red << 16 | green << 8 | blue;
      if (!values.has(key)) values.set(key, value);
    });
    return tables[kind] = values;
  };

  // The map of an element in the page.
  const known = new WeakMap();
  const ofElement = async (element) => {
    if (!known.has(element)) {
      const kind = element.dataset.map, values = table(kind);
      const picture = await load(element.dataset.whole ?? element.src);
      const [width, height] = [picture.naturalWidth, picture.naturalHeight];
      const data = pixels(picture, 0, 0, width, height);
      const numbers = new Uint8Array(width * height);
      for (let at = 0; at < numbers.length; at++) {
        numbers[at] = values.get(data[4 * at] << 16 | data[4 * at + 1] << 8 | data[4 * at + 2]) ?? IGNORED;
      }
      known.set(element, { kind, width, height, numbers });
    }
    return known.get(element);
  };

  // Sheets, decoded when they are needed; the last few are kept.
  const KEPT = 80, sheets = new Map();
  const sheet = (name, type) => {
    const found = sheets.get(name) ?? load(`data:image/${type};base64,${document.getElementById(name).textContent}`);
    sheets.delete(name);
    sheets.set(name, found);
    if (sheets.size > KEPT) sheets.delete(sheets.keys().next().value);
    return found;
  };
  const place = ({ layout }, image) => {
    const each = layout.columns * layout.rows, at = image % each;
    const [width, height] = layout.sizes[image];
    const [x, y] = [at % layout.columns * layout.cell[0], Math.floor(at / layout.columns) * layout.cell[1]];
    return { sheet: Math.floor(image / each), x, y, width, height };
  };
  const photograph = async (thumbnails, image) => {
    const { sheet: number, x, y, width, height } = place(thumbnails, image);
    const picture = await sheet(thumbnails.photographs[number], "jpeg");
    const drawn = canvas(width, height);
    drawn.getContext("2d").drawImage(picture, x, y, width, height, 0, 0, width, height);
    return drawn;
  };
  // Maps of some images only have an order of their own.
  const has = (thumbnails, folder, image) => !thumbnails.others[folder] || thumbnails.others[folder].places[image] !== null;
  const thumbnail = async (thumbnails, folder, kind, image) => {
    const other = thumbnails.others[folder];
    const { sheet: number, x, y, width, height } = other ? place(other, other.places[image]) : place(thumbnails, image);
    const names = other ? other.sheets : thumbnails.maps[folder];
    const data = pixels(await sheet(names[number], "png"), x, y, width, height);
    return { kind, width, height, numbers: Uint8Array.from({ length: width * height }, (_, at) => data[4 * at]) };
  };

  const colour = (map, value, at) => {
    if (map.kind === "entropy") return entropies[value];
    const found = map.kind === "errors" ? errors[value] : classes[value]?.colour;
    if (found && value !== IGNORED) return found;
    // Hatched, so that it isn't taken for a pale class.
    const stripe = Math.max(1, Math.floor(map.width / 96));
    return Math.floor((at % map.width + Math.floor(at / map.width)) / stripe) % 2 ? [190, 190, 190] : [255, 255, 255];
  };
  // The map in its colours, without the hidden classes.
  const drawn = (map) => {
    const picture = canvas(map.width, map.height), context = picture.getContext("2d");
    const image = context.createImageData(map.width, map.height);
    map.numbers.forEach((value, at) => {
      const isHidden = map.kind === "classes" && hidden.has(value);
      image.data.set(isHidden ? [0, 0, 0, 0] : [...colour(map, value, at), 255], 4 * at);
    });
    context.putImageData(image, 0, 0);
    return picture;
  };

  const name = (map, value) => {
    if (map.kind === "entropy") return (value / 255).toFixed(2);
    if (map.kind === "errors") return ["as expected", "wrong"][value] ?? "ignored";
    return classes[value]?.name ?? "ignored";
  };
  // The name of what is at this place, both from 0 to 1.
  const at = (map, x, y) => {
    const column = Math.min(map.width - 1, Math.floor(x * map.width)), row = Math.min(map.height - 1, Math.floor(y * map.height));
    return name(map, map.numbers[row * map.width + column]);
  };
  // The values in it with their shares, the largest first.
  const shares = (map) => {
    const counts = new Map();
    for (const value of map.numbers) counts.set(value, (counts.get(value) ?? 0) + 1);
    return [...counts].map(([value, count]) => ({ value, share: count / map.numbers.length })).sort((a, b) => b.share - a.share);
  };
  const said = (map) => map.kind === "entropy" ? "" : shares(map).slice(0, 6)
    .map(({ value, share }) => `${name(map, value)} ${(100 * share).toFixed(0)} %`).join(", ");

  const changed = () => listeners.forEach((listener) => listener());
  return {
    classes, galleries, state, hidden, load, ofElement, photograph, thumbnail, has, drawn, at, shares, said,
    listen: (listener) => listeners.push(listener),
    toggle: (value) => { hidden.delete(value) || hidden.add(value); changed(); },
    // This class alone; all of them, if it is alone already.
    solo: (value) => {
      const isAlone = !hidden.has(value) && hidden.size === classes.length - 1;
      hidden.clear();
      if (!isAlone) classes.forEach((_, other) => { if (other !== value) hidden.add(other); });
      changed();
    },
    showAll: () => { hidden.clear(); changed(); },
  };
})();
