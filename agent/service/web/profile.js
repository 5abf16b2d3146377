// What is known of the person, beside the chat: every entry with its words, each removable, all of it erasable.
import * as api from "./api.js";
import { make } from "./dom.js";
import { word } from "./words.js";

const MOST_SEEN = 30;

// `where` is the panel; `catalogue` gives the current name; `tell` shows a line to the person.
export function profilePanel(where, { catalogue, tell, erase }) {
  let current = null;
  const titles = new Map();

  async function load() {
    show(await api.get(`/v1/me/profile?catalogue=${encodeURIComponent(catalogue())}`));
  }

  function show(given) {
    current = given;
    const { profile } = current;
    const empty = !(profile.likes.length + profile.dislikes.length + profile.constraints.length + profile.wishes.length + profile.seen.length);
    const sections = [
      section("likes", profile.likes, (entry) => [entry.text, entry.evidence]),
      section("dislikes", profile.dislikes, (entry) => [entry.text, entry.evidence]),
      section("limits", profile.constraints, (limit) => [limit.words, limit.evidence], "constraints"),
      section("wishes", profile.wishes, (limit) => [limit.words, limit.evidence]),
      section("seenTitle", profile.seen.slice(-MOST_SEEN), (id) => [titles.get(id) || id, ""], "seen"),
    ];
    const input = make("input", { id: "add", type: "text", maxLength: 500, placeholder: word("add") });
    const adding = make("form", { className: "adding", autocomplete: "off" }, make("label", { className: "unseen", htmlFor: "add" }, word("add")), input, make("button", { type: "submit", className: "quiet" }, word("addButton")));
    adding.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = input.value.trim();
      if (text) change((p) => p.likes.push({ text, item_id: null, attribute: null, evidence: text }));
    });
    const foot = make(
      "div", { className: "foot" },
      make("button", { type: "button", className: "quiet", id: "export", onclick: download }, word("export")),
      make("button", { type: "button", className: "quiet danger", id: "erase-all", onclick: erase }, word("eraseAll")),
    );
    const had = where.contains(document.activeElement);
    where.replaceChildren(make("h2", { tabIndex: -1 }, word("profile")), ...(empty ? [make("p", { className: "empty" }, word("empty"))] : sections.filter(Boolean)), adding, foot);
    if (had) where.querySelector("h2").focus();
    nameSeen(profile.seen.slice(-MOST_SEEN));
  }

  function section(title, entries, shown, field = title) {
    if (!entries.length) return null;
    const list = make("ul");
    for (const entry of entries) {
      const [text, evidence] = shown(entry);
      const same = evidence.toLowerCase() === text.toLowerCase();
      const remove = make("button", { type: "button", className: "remove", "aria-label": word("remove", text), title: word("remove", text) }, "×");
      remove.addEventListener("click", () => change((p) => p[field].splice(p[field].findIndex((e) => JSON.stringify(e) === JSON.stringify(entry)), 1)));
      list.append(make("li", {}, make("span", {}, make("span", { className: "entry" }, text), evidence && !same ? make("span", { className: "words" }, `“${evidence}”`) : null), remove));
    }
    return make("section", {}, make("h3", {}, word(title)), list);
  }

  async function change(edit) {
    const profile = structuredClone(current.profile);
    edit(profile);
    for (const limit of [...profile.constraints, ...profile.wishes]) delete limit.words;
    try {
      const path = `/v1/me/profile?catalogue=${encodeURIComponent(catalogue())}`;
      show(await (await api.call("PUT", path, profile, { "If-Match": `"${current.version}"` })).json());
    } catch (problem) {
      tell(problem.status === 412 || problem.status === 409 ? word("changed") : word("failed", problem.message));
      await load();
    }
  }

  async function nameSeen(ids) {
    const missing = ids.filter((id) => !titles.has(id));
    if (!missing.length) return;
    for (const id of missing) {
      titles.set(id, id);
      try {
        titles.set(id, (await api.get(`/v1/items/${encodeURIComponent(id)}?catalogue=${encodeURIComponent(catalogue())}`)).title);
      } catch { /* no longer in the catalogue: its id stays */ }
    }
    show(current);
  }

  async function download() {
    try {
      const link = make("a", { href: URL.createObjectURL(await (await api.call("GET", "/v1/me/export")).blob()), download: "snowmelt-export.json" });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    } catch (problem) {
      tell(word("failed", problem.message));
    }
  }

  return { load, show };
}
