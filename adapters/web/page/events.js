// The list of events: what the stream brings, what the book is asked for, and the filter over both.
// Rules of this file: no event twice, the newest on top; while it is held still it is not touched.
import { SEVERITIES, ask, byId, make, moment, set } from "/page/tools.js";

const EVENTS = 400;

const held = { events: [], seen: new Set(), paused: false };

function words(data) {
  const plain = (value) => (value !== null && typeof value === "object" ? JSON.stringify(value) : String(value));
  return Object.entries(data ?? {}).filter(([, value]) => value !== null && value !== "").map(([key, value]) => `${key} ${plain(value)}`).join(" · ");
}

export function eventRow(event) {
  const row = make("li", "event");
  row.dataset.severity = event.severity;
  const time = make("time", "", moment(event.ts));
  time.dateTime = event.ts;
  const what = make("span", "what", event.type + (event.symbol ? ` ${event.symbol}` : ""));
  row.append(time, make("span", "sev", event.severity), what, make("span", "words", words(event.data)));
  return row;
}

function filter() {
  const form = new FormData(byId("filters"));
  const text = (name) => String(form.get(name) ?? "").trim().toLowerCase();
  return { severity: SEVERITIES.indexOf(text("severity")), type: text("type"), symbol: text("symbol"), position: text("position") };
}

function fits(event, wanted) {
  return (
    SEVERITIES.indexOf(event.severity) >= wanted.severity &&
    event.type.includes(wanted.type.replaceAll(" ", "_")) &&
    (event.symbol ?? "").toLowerCase().includes(wanted.symbol) &&
    (!wanted.position || String(event.position_id ?? "").startsWith(wanted.position))
  );
}

// Returns those that are new, oldest first.
function take(events) {
  const fresh = events.filter((each) => !held.seen.has(each.seq));
  for (const each of fresh) held.seen.add(each.seq);
  held.events.push(...fresh);
  held.events.sort((a, b) => a.seq - b.seq);
  for (const each of held.events.splice(0, Math.max(0, held.events.length - EVENTS * 3))) held.seen.delete(each.seq);
  return fresh;
}

// Newer ones go on top of the list that is there; where one belongs further down, the list is made anew.
export function addEvents(events) {
  const fresh = take(events);
  const oldest = fresh[0]?.seq ?? Infinity;
  if (held.paused || oldest === Infinity) return;
  if (held.events.at(-fresh.length)?.seq !== oldest) return showEvents();
  const wanted = filter();
  const list = byId("event-list");
  list.prepend(...fresh.filter((each) => fits(each, wanted)).reverse().map(eventRow));
  while (list.childElementCount > EVENTS) list.lastElementChild.remove();
  byId("no-events").hidden = list.childElementCount > 0;
  showTypes();
}

export function showEvents() {
  if (held.paused) return;
  const wanted = filter();
  const shown = held.events.filter((each) => fits(each, wanted)).slice(-EVENTS).reverse();
  byId("event-list").replaceChildren(...shown.map(eventRow));
  byId("no-events").hidden = shown.length > 0;
  showTypes();
}

function showTypes() {
  const types = [...new Set(held.events.map((each) => each.type))].sort();
  const list = byId("types");
  if (list.childElementCount !== types.length) {
    list.replaceChildren(...types.map((type) => Object.assign(document.createElement("option"), { value: type })));
  }
}

// What lies further back than the page has seen: asked of the book when a filter is set.
export async function recallEvents() {
  const wanted = filter();
  const query = new URLSearchParams({ limit: "300" });
  const exact = [...byId("types").children].some((each) => each.value === wanted.type);
  if (exact) query.set("type", wanted.type);
  if (held.events.some((each) => (each.symbol ?? "").toLowerCase() === wanted.symbol)) query.set("symbol", wanted.symbol);
  if (/^\d{6,}$/.test(wanted.position)) query.set("position", wanted.position);
  if (wanted.severity >= 3) query.set("severity", SEVERITIES[wanted.severity]);
  try {
    take((await ask(`/api/events?${query}`)).events);
    byId("events-missing").hidden = true;
  } catch (error) {
    byId("events-missing").hidden = false;
    set(byId("events-missing"), `Older events cannot be had: ${error.message}`);
  }
  showEvents();
}

export function pause() {
  held.paused = !held.paused;
  byId("pause").setAttribute("aria-pressed", String(held.paused));
  set(byId("pause"), held.paused ? "Paused" : "Pause");
  showEvents();
}
