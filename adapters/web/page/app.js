// The page: one stream in, the picture kept current. Everything of others is set as text, never as markup.
import { figure, lifeChart, trendChart } from "/page/chart.js";
import { addEvents, eventRow, pause, recallEvents, showEvents } from "/page/events.js";
import { SEVERITIES, ask, byId, make, moment, seconds, set, signed, span, tone } from "/page/tools.js";

const POINTS = 600;
const SILENCE_MS = 15000;
const REDIAL_MS = 3000;

const state = {
  picture: null,
  positions: new Map(),
  lives: new Map(), // id -> {points, stops, fills}, or a promise of it
  cards: new Map(),
  open: null, // the id of the position whose life is open
  aside: null, // that position as last seen, once it is not among those that are told of
  over: false, // whether that position is closed
  trendAt: undefined,
  source: null,
  heard: 0,
};

// The head: health, coverage, figures

const WORDS = { healthy: "All is well", degraded: "Protected, but something is wanting", unhealthy: "Something that protects is not well" };

function showHead(p) {
  const mode = byId("mode");
  set(mode, p.dry_run ? `${p.mode}, dry run` : p.mode);
  mode.dataset.state = p.mode === "live" ? "real" : "";
  mode.hidden = false;
  byId("health").dataset.state = p.status;
  set(byId("health-word"), WORDS[p.status] || p.status);
  const reasons = byId("health-reasons");
  const told = p.reasons.slice(0, 8);
  if (p.reasons.length > 8) told.push(`and ${p.reasons.length - 8} more`);
  if (reasons.dataset.told !== told.join("\n")) {
    reasons.dataset.told = told.join("\n");
    reasons.replaceChildren(...told.map((reason) => make("li", "", reason)));
  }
  showCoverage(p.coverage);
  set(byId("open"), String(p.open));
  set(byId("turnover"), p.today ? `${p.today.opened} opened, ${p.today.closed} closed today` : "");
  set(byId("profit"), signed(p.unrealized_pnl));
  tone(byId("profit"), p.unrealized_pnl);
  const net = p.today ? Number(p.today.realized) : null;
  set(byId("realized"), net === null ? "–" : signed(net));
  tone(byId("realized"), net ?? 0);
  set(byId("fees"), p.today ? `USDT, before ${Number(p.today.fees).toFixed(2)} of fees` : "the database is away");
  const known = p.accounts.filter((each) => each.equity !== null);
  const sum = known.reduce((all, each) => all + Number(each.equity), 0);
  set(byId("equity"), known.length ? sum.toLocaleString("en-US", { maximumFractionDigits: 2 }) : "–");
  set(byId("equity-of"), p.accounts.map((each) => `${each.account}: ${each.exchange}`).join(", "));
  set(byId("entries"), p.entries.open ? "open" : "closed");
  set(byId("entries-why"), p.entries.why ? Object.entries(p.entries.why).map(([account, why]) => `${account}: ${why}`).join("; ") : "signals are acted on");
  set(byId("foot"), `Holdfast ${p.version}, up for ${span(p.uptime_s)}, as of ${moment(p.as_of)}. This page only shows. To act: ctl, on the machine itself.`);
  document.title = p.coverage.unprotected_now ? `⚠ ${p.coverage.unprotected_now} bare · Holdfast` : `${seconds(p.coverage.unprotected_seconds_today ?? 0)} s · Holdfast`;
}

function showCoverage(c) {
  const known = c.unprotected_seconds_today !== null;
  const frame = byId("frame");
  frame.dataset.state = c.unprotected_now ? "bare" : "covered";
  set(byId("bare"), known ? seconds(c.unprotected_seconds_today) : "–");
  set(byId("bare-note"), known ? "all positions together, since midnight UTC" : "the database, which knows the whole day, is away");
  const many = c.unprotected_now === 1 ? "1 position is" : `${c.unprotected_now} positions are`;
  const covered = state.picture.open ? "Every open position is covered now" : "Nothing is open, so nothing is bare";
  set(byId("bare-now"), c.unprotected_now ? `${many} bare now, the longest for ${seconds(c.longest_now_s)} s` : covered);
  const owned = Number(c.owned_seconds_today ?? 0);
  const part = known && owned > 0 ? Math.max(0, 1 - Number(c.unprotected_seconds_today) / owned) * 100 : null;
  set(byId("covered"), part === null ? "–" : `${(Math.floor(part * 10000) / 10000).toFixed(4)} %`);
  set(byId("covered-of"), owned > 0 ? `of ${span(owned)} of positions today` : "no position yet today");
}

// Positions

// Charts far from what is looked at are drawn when one comes near them.
const near = new IntersectionObserver(
  (seen) => {
    for (const each of seen) {
      const card = state.cards.get(Number(each.target.dataset.id));
      if (!card) continue;
      card.near = each.isIntersecting;
      const p = state.positions.get(Number(each.target.dataset.id));
      if (card.near && p) draw(p, card.chart, card);
    }
  },
  { rootMargin: "50%" },
);

function showPositions() {
  for (const [id, card] of state.cards) {
    if (!state.positions.has(id)) takeAway(id, card);
  }
  for (const p of state.positions.values()) {
    let card = state.cards.get(p.id);
    if (!card) {
      card = newCard(p);
      state.cards.set(p.id, card);
      byId("cards").append(card.root);
      near.observe(card.root);
    }
    fillCard(card, p);
  }
  const shown = state.positions.size;
  const more = state.picture.open - shown;
  byId("more").hidden = more <= 0;
  set(byId("more"), `${shown} that are nearest to their stop are shown; ${more} more: ctl positions lists all.`);
  byId("empty").hidden = state.picture.open > 0;
  if (!state.picture.open) set(byId("empty-why"), whyEmpty(state.picture));
}

// Whoever stood on it stands on the next one.
function takeAway(id, card) {
  if (document.activeElement === card.root) (card.root.nextElementSibling ?? card.root.previousElementSibling)?.focus();
  near.unobserve(card.root);
  card.root.remove();
  state.cards.delete(id);
}

function whyEmpty(p) {
  if (!p.entries.open) return `Entries are closed: ${Object.values(p.entries.why ?? {}).join("; ")}.`;
  const feed = p.components.find((each) => each.name === "signal_feed");
  if (!feed) return "Entries are open, and there is no source of signals: set signals.url, or open a position by hand.";
  if (feed.state !== "healthy") return `Entries are open, but the source of signals is ${feed.state}: ${feed.reason ?? "no reason given"}.`;
  return feed.last_at ? `Entries are open and signals come in (the last one ${moment(feed.last_at)}); none has opened a position that is still open.` : "Entries are open, and the source of signals is connected; none has come yet.";
}

function newCard(p) {
  const root = make("article", "card");
  root.tabIndex = 0;
  root.setAttribute("role", "button");
  root.dataset.id = p.id;
  const row = make("div", "row");
  const parts = { symbol: make("span", "symbol"), side: make("span", "side"), what: make("span", "note"), pnl: make("span", "pnl") };
  row.append(parts.symbol, parts.side, parts.what, parts.pnl);
  const chart = make("div");
  const facts = make("dl", "facts");
  const values = {};
  for (const name of ["Entry", "Mark", "Stop", "To the stop", "Trailing", "Unprotected"]) {
    const box = make("div");
    values[name] = make("dd");
    box.append(make("dt", "", name), values[name]);
    facts.append(box);
  }
  root.append(row, chart, facts);
  root.addEventListener("click", () => openDetail(p.id));
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault(); // the key would press the button that has the focus by then: Close
    openDetail(p.id);
  });
  return { root, parts, chart, values, drawn: "", near: true };
}

function facts(p) {
  const [mark, stop] = [p.mark_price, p.stop_price];
  return {
    Entry: p.entry_price === null ? "–" : figure(Number(p.entry_price)),
    Mark: mark ?? "–",
    Stop: stop ?? "none",
    "To the stop": mark !== null && stop !== null ? `${(Math.abs(Number(mark) / Number(stop) - 1) * 100).toFixed(2)} %` : "–",
    Trailing: p.trailing.updates ? `${p.trailing.state.toLowerCase()} (${p.trailing.updates})` : p.trailing.state.toLowerCase(),
    Unprotected: `${seconds(p.unprotected_seconds)} s`,
  };
}

function fillCard(card, p) {
  set(card.parts.symbol, p.symbol);
  set(card.parts.side, p.side);
  set(card.parts.what, `${p.quantity} · ${p.state.toLowerCase().replaceAll("_", " ")}${p.needs_intervention ? " · needs a human" : ""}`);
  set(card.parts.pnl, signed(p.unrealized_pnl));
  tone(card.parts.pnl, p.unrealized_pnl);
  card.root.dataset.state = p.stop_price === null && Number(p.quantity) > 0 ? "bare" : "";
  const told = facts(p);
  for (const [name, value] of Object.entries(told)) set(card.values[name], value);
  card.root.setAttribute("aria-label", `${p.symbol} ${p.side}, profit ${signed(p.unrealized_pnl)}, stop ${told.Stop}, ${told["To the stop"]} away`);
  draw(p, card.chart, card);
}

function lifeOf(id) {
  let life = state.lives.get(id);
  if (!life) {
    life = { points: [], stops: [], fills: [] };
    state.lives.set(id, life);
    recall(id, life);
  }
  return life;
}

// What was before this page was opened; a failure leaves what the stream brings.
async function recall(id, life) {
  try {
    const told = await ask(`/api/positions/${id}/drawing`);
    const first = life.points[0]?.[0] ?? Infinity;
    life.points.unshift(...told.points.filter((each) => each[0] < first));
    life.stops = told.stops;
    life.fills = told.fills;
    const [card, p] = [state.cards.get(id), state.positions.get(id)];
    if (card && p) draw(p, card.chart, Object.assign(card, { drawn: "" })); // also where nobody looks: it was empty
  } catch (error) {
    life.missing = String(error.message ?? error);
  }
}

function follow(p, at) {
  const life = lifeOf(p.id);
  life.points.push([at, p.mark_price === null ? null : Number(p.mark_price), p.stop_price === null ? null : Number(p.stop_price)]);
  if (life.points.length > POINTS) life.points = life.points.filter((_, index) => index % 2 === 0 || index > POINTS - 60);
}

function draw(p, place, card) {
  if (card && card.drawn && !card.near) return;
  const life = lifeOf(p.id);
  const entry = p.entry_price === null ? null : Number(p.entry_price);
  const key = `${life.points.length} ${life.points.at(-1)?.[0]} ${life.stops.length} ${life.fills.length}`;
  if (card && card.drawn === key) return;
  if (card) card.drawn = key;
  const words = `${p.symbol} ${p.side}: mark ${p.mark_price ?? "unknown"}, stop ${p.stop_price ?? "none"}, entry ${p.entry_price ?? "none"}`;
  place.replaceChildren(lifeChart(life, entry, words, card ? 420 : 880, card ? 170 : 300));
}

// Closed positions

async function showClosed() {
  try {
    const told = await ask("/api/positions?closed=30");
    set(byId("closed-count"), `(${told.closed.length})`);
    const rows = told.closed.map((p) => {
      const row = make("tr");
      const net = Number(p.realized_pnl ?? 0) - Number(p.fees ?? 0);
      const cells = [p.symbol, p.side, p.closed_at ? moment(p.closed_at) : "–", (p.exit_reason ?? p.state).toLowerCase().replaceAll("_", " ")];
      row.append(...cells.map((text) => make("td", "", text)));
      const shown = (text) => (text === null ? "–" : figure(Number(text)));
      row.append(make("td", "n", shown(p.entry_price)), make("td", "n", shown(p.exit_price)));
      const profit = make("td", "n", signed(net));
      tone(profit, net);
      row.append(profit, make("td", "n", p.unprotected_seconds === null ? "–" : seconds(p.unprotected_seconds)));
      return row;
    });
    byId("closed").tBodies[0].replaceChildren(...rows);
  } catch (error) {
    set(byId("closed-count"), `(${error.message})`);
  }
}

// One position's whole life

async function openDetail(id) {
  const dialog = byId("detail");
  Object.assign(state, { open: id, aside: null, over: false });
  showDetail();
  if (!dialog.open) dialog.showModal();
  const list = byId("detail-events");
  list.replaceChildren(make("li", "event", "…"));
  try {
    const told = await ask(`/api/events?position=${id}&limit=300`);
    if (state.open === id) list.replaceChildren(...told.events.filter((each) => each.type !== "price_range").map(eventRow));
  } catch (error) {
    list.replaceChildren(make("li", "event", error.message));
  }
}

function showDetail() {
  const p = state.positions.get(state.open) ?? state.aside;
  if (!p) return;
  set(byId("detail-title"), `${p.symbol} ${p.side} · ${p.id}`);
  draw(p, byId("detail-chart"), null);
  const told = { ...facts(p), Profit: signed(p.unrealized_pnl), Quantity: p.quantity, State: p.state, Liquidation: p.liquidation_price ?? "–", Account: p.account, Opened: moment(p.opened_at) };
  byId("detail-facts").replaceChildren(
    ...Object.entries(told).map(([name, value]) => {
      const box = make("div");
      box.append(make("dt", "", name), make("dd", "", value));
      return box;
    }),
  );
}

// It is over, or not among the foremost any more: then it is asked for by itself.
async function lookAside(at) {
  const last = state.aside;
  try {
    const told = await ask(`/api/positions?${new URLSearchParams({ account: last.account, symbol: last.symbol })}`);
    if (state.open !== last.id) return;
    const p = told.positions.find((each) => each.id === last.id);
    if (!p) {
      state.over = true;
      set(byId("detail-title"), `${byId("detail-title").textContent} · closed`);
      return;
    }
    state.aside = p;
    follow(p, at);
    showDetail();
  } catch {
    return; // what is shown is old; so says the head of the page when nobody answers
  }
}

// Trend

async function showTrend() {
  try {
    const told = await ask("/api/trend");
    const sum = (kind) => told.buckets.reduce((all, each) => all + each[kind], 0);
    const text = `${sum("warning")} warnings, ${sum("error")} errors, ${sum("critical")} criticals in the last 24 hours`;
    byId("trend").replaceChildren(trendChart(told.buckets, told.bucket_minutes, text), byId("trend-note"));
    set(byId("trend-note"), text);
  } catch (error) {
    set(byId("trend-note"), `Not now: ${error.message}`);
  }
}

// Several errors at a time are one look, late enough for the service to have counted them.
function trendSoon() {
  state.trendAt ??= setTimeout(() => {
    state.trendAt = undefined;
    showTrend();
  }, 2500);
}

// Actors

function showActors(p) {
  const rows = p.actors.map((each) => {
    const row = make("tr");
    row.dataset.state = each.state === "RUNNING" ? "" : "bad";
    row.append(make("td", "", each.name), make("td", "", each.state.toLowerCase()));
    row.append(make("td", "n", String(each.restarts)), make("td", "n", String(each.mailbox)));
    row.append(make("td", "n", `${each.heartbeat_age_s.toFixed(1)} s`), make("td", "", each.last_error ?? ""));
    return row;
  });
  byId("actor-table").tBodies[0].replaceChildren(...rows);
  const restarts = p.actors.reduce((all, each) => all + each.restarts, 0);
  const owners = p.owners.all ? `; ${p.owners.running} of ${p.owners.all} owners of positions run` : "";
  const hung = p.abandoned.length ? `; hung and replaced: ${p.abandoned.join(", ")}` : "";
  set(byId("actors-note"), `${restarts} restarts since the start${owners}${hung}`);
}

// The stream

function refresh(p, positions, gone) {
  const { positions: _, gone: __, ...rest } = p;
  state.picture = rest;
  const at = Date.parse(p.as_of) / 1000;
  for (const id of gone) {
    if (id === state.open) state.aside = state.positions.get(id) ?? state.aside;
    else state.lives.delete(id);
    state.positions.delete(id);
  }
  for (const each of positions) state.positions.set(each.id, each);
  for (const each of state.positions.values()) follow(each, at);
  showHead(rest);
  showPositions();
  showActors(rest);
  if (state.positions.has(state.open)) {
    state.aside = null;
    showDetail();
  } else if (state.aside && !state.over) lookAside(at);
  byId("events-missing").hidden = !rest.events_missing;
  if (rest.events_missing) set(byId("events-missing"), `No new events: ${rest.events_missing}`);
  if (gone.length) showClosed();
}

function link(word, kind) {
  set(byId("link"), word);
  byId("link").dataset.state = kind;
}

function lost(word) {
  link(word, "lost");
  byId("frame").dataset.state = "waiting";
  set(byId("bare-now"), "the service does not answer: what you see is old");
}

// A connection may stand and say nothing: then it is dialled anew, and the page does not pretend to know.
function watch() {
  if (Date.now() - state.heard < SILENCE_MS) return;
  lost("no news");
  state.source.close();
  listen();
}

function listen() {
  state.heard = Date.now();
  const source = new EventSource("/api/stream");
  state.source = source;
  const hear = (name, act) =>
    source.addEventListener(name, (message) => {
      state.heard = Date.now();
      act(message);
    });
  hear("open", () => link("live", "live"));
  source.addEventListener("error", () => {
    lost("no connection");
    if (source.readyState === EventSource.CLOSED) state.heard = Date.now() - SILENCE_MS + REDIAL_MS;
  });
  hear("picture", (message) => {
    const p = JSON.parse(message.data);
    const now = new Set(p.positions.map((each) => each.id));
    refresh(p, p.positions, [...state.positions.keys()].filter((id) => !now.has(id)));
    recallEvents();
    showTrend();
    showClosed();
  });
  hear("step", (message) => {
    link("live", "live");
    const p = JSON.parse(message.data);
    refresh(p, p.positions, p.gone);
  });
  hear("events", (message) => {
    const fresh = JSON.parse(message.data).events;
    addEvents(fresh);
    if (fresh.some((each) => SEVERITIES.indexOf(each.severity) >= 2)) trendSoon();
    if (fresh.some((each) => each.type === "position_closed")) showClosed();
    for (const each of fresh) if (each.type === "fill" || each.type.includes("moved") || each.type === "stop_loss_placed") relearn(each.position_id);
  });
  hear("trouble", (message) => link(`waiting: ${JSON.parse(message.data).reason}`.slice(0, 60), "lost"));
}

function relearn(id) {
  const life = state.lives.get(id);
  if (life) recall(id, life);
}

// Hands

function theme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  remember(root.dataset.theme);
}

// A browser may forbid storage; then the choice lasts as long as the page.
function remember(value) {
  try {
    localStorage.setItem("theme", value);
  } catch {
    return;
  }
}

function remembered() {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null;
  }
}

function walk(step) {
  const cards = [...byId("cards").children];
  if (!cards.length) return;
  const here = cards.indexOf(document.activeElement);
  cards[(here + step + cards.length + (here < 0 && step < 0 ? 1 : 0)) % cards.length].focus();
}

function help() {
  if (!byId("help").open) byId("help").showModal();
}

// Told some time after the dialog has gone: by then the hands may be elsewhere, or another position may be open.
function closed() {
  if (byId("detail").open) return;
  if (document.activeElement === document.body) state.cards.get(state.open)?.root.focus();
  if (!state.positions.has(state.open)) state.lives.delete(state.open);
  Object.assign(state, { open: null, aside: null });
}

const KEYS = { j: () => walk(1), k: () => walk(-1), t: theme, p: pause, "?": help, "/": () => byId("filters").elements.type.focus() };

function main() {
  const chosenBefore = remembered();
  if (chosenBefore === "light" || chosenBefore === "dark") document.documentElement.dataset.theme = chosenBefore;
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
    const act = KEYS[event.key];
    if (!act || typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    act();
  });
  byId("theme").addEventListener("click", theme);
  byId("pause").addEventListener("click", pause);
  byId("help-open").addEventListener("click", help);
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.querySelector(".close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }
  byId("detail").addEventListener("close", closed);
  const form = byId("filters");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", showEvents);
  form.addEventListener("change", recallEvents);
  form.addEventListener("reset", () => setTimeout(recallEvents));
  setInterval(showTrend, 30000);
  setInterval(watch, 1000);
  listen();
}

main();
