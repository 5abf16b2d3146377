// A recommendation as a card: what it is, why it is here, and what the person thinks of it.
import { make, marked } from "./dom.js";
import { language, signalName, word } from "./words.js";

const FIRST = ["price", "runtime", "countries", "directors", "brand", "genres", "category", "categories", "materials", "moods"];
const HIDDEN = ["year", "currency"];
const UNITS = { runtime: "min", weight_g: "g" };
const MOST_FACTS = 5;

// At most five short facts, the same attributes for every item (as on the terminal).
export function facts(item) {
  const names = FIRST.filter((name) => name in item.attributes);
  names.push(...Object.keys(item.attributes).filter((n) => !FIRST.includes(n) && !HIDDEN.includes(n) && !n.includes("title")));
  const found = [];
  for (const name of names) {
    const value = item.attributes[name];
    let text = value;
    if (typeof value === "boolean") continue;
    if (Array.isArray(value)) text = value.slice(0, 3).join(", ");
    else if (typeof value === "number") {
      const unit = name === "price" ? item.attributes.currency || "" : UNITS[name];
      const number = name === "price" ? value.toFixed(2) : String(value);
      text = unit === undefined ? `${name.replaceAll("_", " ")} ${number}` : `${number} ${unit}`.trim();
    }
    if (text && text.length <= 60) found.push(text);
  }
  return found.slice(0, MOST_FACTS);
}

export function titleOf(item) {
  const other = Object.entries(item.attributes).find(([key, value]) => key.endsWith("title_zh") && typeof value === "string")?.[1];
  const year = typeof item.attributes.year === "number" ? item.attributes.year : null;
  if (!other || other === item.title) return { title: item.title, year, other: null };
  return language() === "zh" ? { title: other, year, other: item.title } : { title: item.title, year, other };
}

export function card(recommendation, { turns, feedback, place }) {
  const { item } = recommendation;
  const { title, year, other } = titleOf(item);
  const text = make("p", { className: "text" });
  const told = item.summary ? [make("p", { className: "text" }, item.summary), whole(text, title)] : [text];
  const list = make("p", { className: "facts" });
  const reasons = make("ul", { className: "reasons" });
  const name = `card-${place}-${crypto.getRandomValues(new Uint32Array(1))[0]}`;
  const bars = why(recommendation);
  const buttons = make("div", { className: "verdicts", role: "group", "aria-label": title });
  const element = make(
    "article", { className: "card", "aria-labelledby": name },
    make("h3", { id: name }, title, year ? make("span", { className: "year" }, ` ${year}`) : null, other ? make("span", { className: "other" }, ` ${other}`) : null),
    list, reasons, ...told, bars, buttons,
  );
  for (const kind of ["like", "dislike", "seen", "more"]) {
    const button = make("button", { type: "button", className: `verdict ${kind}`, "aria-label": `${word(kind)}: ${title}` }, word(kind));
    if (kind !== "more") button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", async () => {
      const pressed = button.getAttribute("aria-pressed") === "true";
      buttons.setAttribute("aria-busy", "true");
      const done = await feedback(item, pressed ? "none" : kind);
      buttons.removeAttribute("aria-busy");
      if (!done || kind === "more") return;
      for (const one of buttons.querySelectorAll("[aria-pressed]")) one.setAttribute("aria-pressed", String(one === button && !pressed));
    });
    buttons.append(button);
  }
  element.explain = (all) => {
    const spans = all.map((reason) => reason.span);
    text.replaceChildren(marked(item.description, spans));
    list.replaceChildren(marked(facts(item).join(" · "), spans));
    reasons.replaceChildren(...all.map((reason) => make("li", {}, marked(reason.text, [reason.span]), said(reason.evidence, turns()))));
  };
  element.explain(recommendation.reasons || []);
  return element;
}

// A long text behind its short profile.
function whole(text, title) {
  return make("details", { className: "why" }, make("summary", {}, word("whole"), make("span", { className: "unseen" }, ` ${title}`)), text);
}

// The person's own sentence with the words that count in it; for what was chosen by a button, what was chosen.
function said(evidence, turns) {
  if (!evidence) return null;
  const turn = turns.filter((t) => t.role === "user").reverse().find((t) => t.text.toLowerCase().includes(evidence.toLowerCase()));
  if (!turn) return make("span", { className: "said" }, word("youChose"), make("mark", {}, evidence));
  const at = turn.text.toLowerCase().indexOf(evidence.toLowerCase());
  const from = Math.max(0, at - 40), to = Math.min(turn.text.length, at + evidence.length + 40);
  const shown = (from ? "…" : "") + turn.text.slice(from, to) + (to < turn.text.length ? "…" : "");
  return make("span", { className: "said" }, word("youSaid"), "“", marked(shown, [evidence]), "”");
}

// What moved an item, as bars: right of the middle for it, left against it.
function why({ item, signals }) {
  const all = Object.entries(signals).filter(([, value]) => Math.abs(value) > 0.005).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  const most = Math.max(1, ...all.map(([, value]) => Math.abs(value)));
  const rows = all.map(([name, value]) => {
    const bar = make("span", { className: value < 0 ? "bar against" : "bar" });
    bar.style.width = `${(Math.abs(value) / most) * 50}%`;
    return make("li", {}, make("span", { className: "signal" }, signalName(name)), make("span", { className: "track", "aria-hidden": "true" }, bar), make("span", { className: "value" }, value.toFixed(2)));
  });
  return make("details", { className: "why" }, make("summary", {}, word("why"), make("span", { className: "unseen" }, ` ${item.title}`)), rows.length ? make("ul", { "aria-label": word("signalsTitle", item.title) }, ...rows) : make("p", {}, word("noWhy")));
}
