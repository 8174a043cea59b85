// What every part of the page stands on: elements, texts of numbers and times, a question to the service.
// Rules of this file: it keeps nothing; everything of others is set as text, never as markup.

export const SEVERITIES = ["debug", "info", "warning", "error", "critical"];
export const byId = (id) => document.getElementById(id);

export function set(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function make(name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

export function signed(text, digits = 2) {
  if (text === null || text === undefined) return "–";
  const number = Number(text);
  const sign = number > 0 ? "+" : number < 0 ? "−" : "";
  return sign + Math.abs(number).toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function tone(node, text) {
  node.classList.toggle("up", Number(text) > 0);
  node.classList.toggle("down", Number(text) < 0);
}

export function seconds(text) {
  const number = Number(text);
  return number >= 100 ? number.toFixed(0) : number >= 10 ? number.toFixed(1) : number >= 1 ? number.toFixed(2) : number.toFixed(3);
}

export function span(total) {
  const whole = Math.floor(Number(total));
  const [days, hours, minutes] = [Math.floor(whole / 86400), Math.floor((whole % 86400) / 3600), Math.floor((whole % 3600) / 60)];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

export function moment(text) {
  const when = new Date(text);
  const today = when.toDateString() === new Date().toDateString();
  const time = when.toLocaleTimeString([], { hour12: false });
  return today ? time : `${when.toLocaleDateString([], { month: "short", day: "numeric" })} ${time}`;
}

export async function ask(path) {
  const reply = await fetch(path, { headers: { accept: "application/json" } });
  const answer = await reply.json();
  if (!reply.ok) throw new Error(answer.error || `${path}: ${reply.status}`);
  return answer;
}
