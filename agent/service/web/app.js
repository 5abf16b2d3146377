// The page: a chat beside the profile. All state is the service's; here are only the token and the conversation's id.
import * as api from "./api.js";
import { card, facts, titleOf } from "./cards.js";
import { make } from "./dom.js";
import { profilePanel } from "./profile.js";
import { GREETING, language, setLanguage, word } from "./words.js";

const at = (id) => document.getElementById(id);
const log = at("log"), text = at("text"), banner = at("banner"), aside = at("profile");
let catalogues = [], catalogue = null, conversation = null, turns = [], busy = false;
const profile = profilePanel(aside, { catalogue: () => catalogue, tell, erase: () => at("sure").showModal() });

function tell(line, { lasting = false } = {}) {
  banner.replaceChildren(line);
  banner.hidden = false;
  clearTimeout(tell.timer);
  if (!lasting) tell.timer = setTimeout(() => { banner.hidden = true; }, 6000);
}

const kept = () => `snowmelt.conversation.${catalogue}`;

function words() {
  document.documentElement.lang = language() === "zh" ? "zh-Hans" : "en";
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", word(element.dataset.label));
  text.placeholder = word("placeholder");
  at("language").textContent = word("other");
  at("language").lang = language() === "zh" ? "en" : "zh-Hans";
}

// the log --------------------------------------------------------------------------------------------------------------
function bubble(role, content = "") {
  const body = make("div", { className: "body" }, content);
  const element = make("div", { className: `turn ${role}` }, make("span", { className: "unseen" }, `${word(role === "user" ? "you" : "snowmelt")}: `), body);
  log.append(element);
  toEnd();
  return body;
}

const toEnd = () => log.scrollTo({ top: log.scrollHeight, behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });

// Brings the top of an element to the top of the log; the page itself never scrolls.
const toTop = (element) => log.scrollTo({ top: element.offsetTop - log.offsetTop - 16, behavior: "auto" });

function welcome() {
  const [ask, show] = word("starts");
  log.append(
    make("div", { className: "welcome" }, make("h2", {}, word("hello")), make("p", {}, word("helloText")),
      make("div", { className: "answers" },
        make("button", { type: "button", onclick: () => say(GREETING[language()], ask) }, ask),
        make("button", { type: "button", onclick: () => say(show) }, show))),
  );
}

// A question that comes with a list stands below it, in a bubble of its own.
function offer(question, list) {
  for (const old of log.querySelectorAll(".answers, .choices")) old.remove();
  if (question && list) bubble("assistant", question.text);
  // a question about limits has no options, but any limit may do
  if (!question || !(question.options.length || question.about.startsWith("limits"))) return;
  if (question.options.length) shorten(question);
  const quick = (label, said, className = "") => make("button", { type: "button", className, onclick: () => say(said) }, label);
  let element;
  if (question.kind === "versus" && question.options.length === 2) {
    const [one, two] = question.options.map((option) => versus(option));
    element = make("div", { className: "choices versus", role: "group", "aria-label": question.text }, one, make("span", { className: "or" }, word("or")), two, quick(word("unknown"), word("unknown"), "quiet"));
  } else if (question.kind === "items") {
    const boxes = question.options.map((option) => make("label", { className: "tick" }, make("input", { type: "checkbox", value: option.text }), make("span", { title: option.text }, brief(option.text))));
    const send = () => {
      const picked = [...element.querySelectorAll("input:checked")].map((box) => box.value);
      say(picked.length ? word("chosen", picked.join(language() === "zh" ? "、" : ", ")) : word("unknown"));
    };
    element = make("fieldset", { className: "choices ticks" }, make("legend", { className: "unseen" }, question.text), make("div", { className: "boxes" }, ...boxes), make("div", { className: "row" }, quick(word("unknown"), word("unknown"), "quiet"), make("button", { type: "button", onclick: send }, word("choose"))));
  } else {
    element = make("div", { className: "answers", role: "group", "aria-label": question.text }, ...question.options.map((option) => quick(option.text, option.text)), quick(word("any"), word("any"), "quiet"));
  }
  log.append(element);
  toEnd();
}

// The text of a question names its options, for those who have no buttons; here they stand below as buttons.
function shorten({ options }) {
  const body = [...log.querySelectorAll(".turn.assistant .body")].at(-1);
  for (const sign of [" / ", "、", ", "]) {
    const listed = options.map((option) => option.text).join(sign);
    const at = body ? body.textContent.indexOf(listed) : -1;
    if (at < 0) continue;
    const before = body.textContent.slice(0, at).replace(/[\s:：,，]+$/, "");
    body.textContent = /[?？!！。.]$/.test(before) ? before : `${before}${language() === "zh" ? "？" : "?"}`;
    return;
  }
}

const LONG = 60; // characters of a title in a question
const brief = (title) => (title.length > LONG ? `${title.slice(0, LONG).trimEnd()}…` : title);

function versus(option) {
  const more = make("span", { className: "facts" });
  const element = make("button", { type: "button", className: "side", onclick: () => say(option.text) }, make("strong", { title: option.text }, brief(option.text)), more);
  if (option.item_id) {
    api.get(`/v1/items/${encodeURIComponent(option.item_id)}?catalogue=${encodeURIComponent(catalogue)}`).then((item) => {
      const { year } = titleOf(item);
      more.textContent = [year, ...facts(item).slice(0, 3)].filter(Boolean).join(" · ");
    }, () => { /* its name has to do */ });
  }
  return element;
}

function cards(recommendations) {
  const list = make("div", { className: "cards" });
  recommendations.forEach((recommendation, i) => {
    const element = card(recommendation, { turns: () => turns, feedback, place: i });
    element.dataset.item = recommendation.item.id;
    list.append(element);
  });
  log.append(list);
  return list;
}

const lessThan = () => log.append(make("p", { className: "note", role: "note" }, word("degraded")));

// talking --------------------------------------------------------------------------------------------------------------
async function say(message, shown = message) {
  if (busy || !message.trim()) return;
  setBusy(true);
  log.querySelector(".welcome")?.remove();
  for (const old of log.querySelectorAll(".answers, .choices, .retry")) old.remove();
  bubble("user", shown);
  await answer(message, api.newKey());
}

async function answer(message, key) {
  const body = bubble("assistant");
  const wait = make("span", { className: "wait" }, make("span", { className: "unseen" }, word("thinking")), make("i"), make("i"), make("i"));
  body.append(wait);
  body.setAttribute("aria-busy", "true");
  const slow = setTimeout(() => wait.append(make("span", { className: "slow" }, word("slow"))), 4000);
  let question = null, list = null;
  const before = turns;
  turns = [...turns, { role: "user", text: message }];
  try {
    if (!conversation) {
      conversation = (await api.post("/v1/conversations", { catalogue, language: language() })).id;
      localStorage.setItem(kept(), conversation);
    }
    for await (const [name, data] of api.say(conversation, message, key)) {
      if (name === "status") {
        if (data.state === "again") body.replaceChildren(); // the model gave up half-way: another text comes
      } else if (name === "token") {
        wait.remove();
        body.append(data.text);
      } else if (name === "question") question = data;
      else if (name === "list") list = cards(data.recommendations);
      else if (name === "reasons") {
        for (const one of data.reasons) [...list.children].find((c) => c.dataset.item === one.item)?.explain(one.reasons);
      } else if (name === "done") {
        turns = [...turns, { role: "assistant", text: data.text }];
        if (data.degraded) lessThan();
      }
      if (name === "token") toEnd();
    }
    offer(question, list);
    if (list) toTop(body.parentElement);
    await profile.load();
  } catch (problem) {
    turns = before;
    body.parentElement.remove();
    list?.remove();
    if (problem.status === 404) forgetConversation();
    failed(problem, () => answer(message, key));
  } finally {
    clearTimeout(slow);
    wait.remove();
    body.removeAttribute("aria-busy");
    setBusy(false);
  }
}

function failed(problem, again) {
  const offline = !navigator.onLine || problem instanceof TypeError;
  const line = offline && !navigator.onLine ? word("offline") : word("failed", problem.message);
  const retry = make("button", { type: "button" }, word("retry"));
  const note = make("div", { className: "retry", role: "alert" }, make("p", {}, line), retry);
  retry.addEventListener("click", () => {
    if (busy) return;
    note.remove();
    setBusy(true);
    again();
  });
  log.append(note);
  toEnd();
}

async function feedback(item, kind) {
  try {
    const told = await api.post("/v1/me/feedback", { catalogue, item: item.id, kind }, { "Idempotency-Key": api.newKey() });
    profile.show(told.profile);
    if (kind === "more") {
      bubble("assistant", word(told.recommendations.length ? "moreLike" : "nothingLike", item.title));
      if (told.recommendations.length) toTop(cards(told.recommendations).previousElementSibling);
      if (told.degraded) lessThan();
    }
    return true;
  } catch (problem) {
    tell(word("failed", problem.message));
    return false;
  }
}

function setBusy(now) {
  busy = now;
  at("send").disabled = now;
  document.body.classList.toggle("busy", now);
}

function forgetConversation() {
  conversation = null;
  turns = [];
  localStorage.removeItem(kept());
}

// beginning ------------------------------------------------------------------------------------------------------------
async function open() {
  log.replaceChildren(make("p", { className: "note" }, word("loading")));
  try {
    if (!catalogues.length) catalogues = (await api.get("/v1/catalogues")).catalogues;
    const wanted = localStorage.getItem("snowmelt.catalogue");
    catalogue = catalogues.some((c) => c.name === wanted) ? wanted : catalogues[0].name;
    at("catalogue").replaceChildren(...catalogues.map((c) => make("option", { value: c.name, selected: c.name === catalogue }, c.name)));
    at("catalogue").parentElement.hidden = catalogues.length < 2;
    conversation = localStorage.getItem(kept());
    let stored = null;
    if (conversation) {
      try {
        stored = await api.get(`/v1/conversations/${conversation}`);
      } catch (problem) {
        if (problem.status !== 404 && problem.status !== 422) throw problem;
        forgetConversation();
      }
    }
    log.replaceChildren();
    turns = stored ? stored.turns : [];
    const last = stored?.last, listed = Boolean(last?.recommendations.length);
    turns.forEach((turn, i) => bubble(turn.role, listed && i === turns.length - 1 ? last.text : turn.text));
    if (!turns.length) welcome();
    if (last) {
      if (listed) cards(last.recommendations);
      if (last.degraded) lessThan();
      offer(last.question, listed);
    }
    await profile.load();
  } catch (problem) {
    if (problem.status === 401 || problem.status === 403) {
      log.replaceChildren(make("p", { className: "note" }, word("locked")));
      return;
    }
    log.replaceChildren();
    failed(problem, async () => { await open(); setBusy(false); });
  }
}

at("say").addEventListener("submit", (event) => {
  event.preventDefault();
  if (busy || !text.value.trim()) return;
  const message = text.value.trim();
  text.value = "";
  grow();
  say(message);
});
text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    at("say").requestSubmit();
  }
});
const grow = () => {
  text.style.height = "auto";
  text.style.height = `${Math.min(text.scrollHeight, 160)}px`;
};
text.addEventListener("input", grow);
at("catalogue").addEventListener("change", () => {
  localStorage.setItem("snowmelt.catalogue", at("catalogue").value);
  open();
});
at("language").addEventListener("click", () => {
  setLanguage(language() === "zh" ? "en" : "zh");
  words();
  open();
});
at("anew").addEventListener("click", () => {
  if (busy) return;
  forgetConversation();
  open();
  text.focus();
});
function panel(open) {
  at("about").setAttribute("aria-expanded", String(open));
  document.body.classList.toggle("panel", open);
  if (open) aside.querySelector("h2")?.focus();
}
at("about").addEventListener("click", () => panel(at("about").getAttribute("aria-expanded") !== "true"));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && document.body.classList.contains("panel")) {
    panel(false);
    at("about").focus();
  }
});
at("keep").addEventListener("click", () => at("sure").close());
at("erase").addEventListener("click", async () => {
  at("sure").close();
  try {
    await api.call("DELETE", "/v1/me");
    api.forget();
    forgetConversation();
    await open();
    tell(word("gone"));
  } catch (problem) {
    tell(word("failed", problem.message));
  }
});
addEventListener("offline", () => tell(word("offline"), { lasting: true }));
addEventListener("online", () => { banner.hidden = true; });

words();
if (!navigator.onLine) tell(word("offline"), { lasting: true });
open();
