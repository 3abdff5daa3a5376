/** What was spoken in this browser: settings and the beginning of the text, never the audio. */

const KEPT = 20;
const LONGEST = 2000;
const PLACE = "history";

function load() {
  try {
    const found = JSON.parse(localStorage.getItem(PLACE) ?? "[]");
    return Array.isArray(found) ? found.filter((each) => typeof each?.request?.input === "string") : [];
  } catch {
    return []; // somebody else wrote there; it is not worth an error
  }
}

export const entries = load;

export function remember(request) {
  const entry = { when: Date.now(), request: { ...request, input: request.input.slice(0, LONGEST) } };
  const others = load().filter((each) => JSON.stringify(each.request) !== JSON.stringify(entry.request));
  localStorage.setItem(PLACE, JSON.stringify([entry, ...others].slice(0, KEPT)));
}

export const forget = () => localStorage.removeItem(PLACE);
