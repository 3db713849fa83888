// Building DOM without markup strings: what comes from the API can only ever become text.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes an element. `on` holds listeners, `data` data-* attributes; an attribute that is null or
 * false is left out, one that is true is set empty. Children are nodes or text; null is skipped.
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
    } else if (name === "data") {
      Object.assign(element.dataset, value);
    } else {
      setAttribute(element, name, value);
    }
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? "" : String(value));
}

/** Sets text only when it differs, so that a selection and a screen reader are left in peace. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Makes the parent's children follow `items`, keeping the element of a key that stays: focus,
 * scroll position and selection survive a refresh.
 */
export function reconcile(parent, items, key, create, update) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let element = known.get(name);
    known.delete(name);
    if (!element) {
      element = create(item);
      element.dataset.key = name;
    }
    update(element, item);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const leftover of known.values()) leftover.remove();
}

const PATHS = {
  pulse: "M2 12h4l3-8 5 16 3.5-8H22",
  search: "M11 4a7 7 0 1 1 0 14 7 7 0 0 1 0-14ZM16.2 16.2 21 21",
  back: "M15 5l-7 7 7 7",
  alert: "M12 4 2.8 19.5h18.4L12 4ZM12 10v4.2M12 16.9v.1",
  cloudOff: "M3 3l18 18M7.5 8.2A4.9 4.9 0 0 0 7 18h10m3.2-1.2A4 4 0 0 0 17 10h-.6A6 6 0 0 0 10 6.2",
  clock: "M12 3.5a8.5 8.5 0 1 1 0 17 8.5 8.5 0 0 1 0-17ZM12 7.5V12l3 2",
  signOut: "M10 4H5v16h5M15 8l4 4-4 4M19 12H9",
  devices: "M4 5h16v6H4V5ZM4 13h16v6H4v-6ZM7.5 8v.1M7.5 16v.1",
  download: "M12 4v11M7 10.5l5 5 5-5M4.5 20h15",
  close: "M6 6l12 12M18 6 6 18",
  switch: "M4 8h14M14 4l4 4-4 4M20 16H6M10 12l-4 4 4 4",
};

/** A decorative line icon; what it means is said in text beside it. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** Says something once to a screen reader, after what it is reading now. */
export function announce(text) {
  setText(document.getElementById("announcer"), text);
}
