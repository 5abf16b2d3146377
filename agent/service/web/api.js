// Talking to the service: the person's token, requests, server-sent events. Nothing goes to any other host.
const TOKEN = "snowmelt.token";

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

// A link from the shop's own site ends in #token=...; it is taken out of the address at once.
const handed = new URLSearchParams(location.hash.slice(1)).get("token");
if (handed) {
  localStorage.setItem(TOKEN, handed);
  history.replaceState(null, "", location.pathname + location.search);
}

export const known = () => localStorage.getItem(TOKEN) !== null;

export function forget() {
  for (const key of Object.keys(localStorage)) if (key.startsWith("snowmelt.") && key !== "snowmelt.language") localStorage.removeItem(key);
}

async function send(method, path, body, headers = {}) {
  const token = localStorage.getItem(TOKEN);
  const all = { ...headers };
  if (token) all.Authorization = `Bearer ${token}`;
  if (body !== undefined) all["Content-Type"] = "application/json";
  const response = await fetch(path, { method, headers: all, body: body === undefined ? undefined : JSON.stringify(body) });
  if (response.ok) return response;
  let detail = `${response.status}`;
  try {
    detail = (await response.json()).detail || detail;
  } catch { /* not a problem document: the status has to do */ }
  throw new Problem(response.status, detail);
}

async function becomeSomebody() {
  const made = await (await send("POST", "/v1/people")).json();
  localStorage.setItem(TOKEN, made.token);
}

// A request in the person's name; makes a person at the first one, and a new one where the old token has run out.
export async function call(method, path, body, headers) {
  if (!known()) await becomeSomebody();
  try {
    return await send(method, path, body, headers);
  } catch (problem) {
    if (problem.status !== 401) throw problem;
    forget();
    await becomeSomebody();
    return await send(method, path, body, headers);
  }
}

export const get = async (path) => (await call("GET", path)).json();
export const post = async (path, body, headers) => (await call("POST", path, body, headers)).json();

export const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

// Yields [name, data] as the service sends them. Throws Problem for an error event, Error for a line that breaks.
export async function* say(conversation, text, key) {
  const headers = { Accept: "text/event-stream", "Idempotency-Key": key };
  const response = await call("POST", `/v1/conversations/${conversation}/messages`, { text }, headers);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "", done = false;
  for (;;) {
    const piece = await reader.read();
    if (piece.done) break;
    buffer += piece.value;
    for (let end; (end = buffer.indexOf("\n\n")) >= 0; buffer = buffer.slice(end + 2)) {
      const event = buffer.slice(0, end);
      const name = /^event: (.*)$/m.exec(event)?.[1];
      const data = /^data: (.*)$/m.exec(event)?.[1];
      if (!name || data === undefined) continue;
      const value = JSON.parse(data);
      if (name === "error") throw new Problem(value.status, value.detail);
      done ||= name === "done";
      yield [name, value];
    }
  }
  if (!done) throw new Error("the answer broke off");
}
