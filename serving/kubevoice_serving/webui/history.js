/** Requests made in this browser: settings and the beginning of the text, never the audio. */

const MAX_ENTRIES = 20;
const MAX_CHARACTERS = 2000;
const STORAGE_KEY = "history";

function load() {
  try {
    const stored = JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "[]");
    return Array.isArray(stored) ? stored.filter((each) => typeof each?.request?.input === "string") : [];
  } catch {
    return []; // not written by this page
  }
}

export const entries = load;

export function save(request) {
  const entry = { when: Date.now(), request: { ...request, input: request.input.slice(0, MAX_CHARACTERS) } };
  const others = load().filter((each) => JSON.stringify(each.request) !== JSON.stringify(entry.request));
  localStorage.setItem(STORAGE_KEY, JSON.stringify([entry, ...others].slice(0, MAX_ENTRIES)));
}

export const clear = () => localStorage.removeItem(STORAGE_KEY);
