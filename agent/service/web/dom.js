// Elements made in code. Texts are always text: markup in an item or a message is shown, never run.
export function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && !key.startsWith("aria")) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Is there a word around this place: the same alphabet on both sides? Chinese has no such borders.
const inWord = (text, at) => at > 0 && at < text.length && /[a-z0-9\u00c0-\u024f]{2}/.test(text.slice(at - 1, at + 1));

// `text` with every occurrence of the `spans` in <mark>, without regard to case.
export function marked(text, spans) {
  const found = [];
  const low = text.toLowerCase();
  for (const span of spans.filter((s) => s && s.length > 1).map((s) => s.toLowerCase())) {
    for (let at = low.indexOf(span); at >= 0 && low.length === text.length; at = low.indexOf(span, at + span.length)) {
      if (!inWord(low, at) && !inWord(low, at + span.length)) found.push([at, at + span.length]);
    }
  }
  found.sort((a, b) => a[0] - b[0] || b[1] - a[1]);
  const parts = document.createDocumentFragment();
  let end = 0;
  for (const [from, to] of found) {
    if (from < end) continue;
    parts.append(text.slice(end, from), make("mark", {}, text.slice(from, to)));
    end = to;
  }
  parts.append(text.slice(end));
  return parts;
}
