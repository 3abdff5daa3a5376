/** Calls of the server that the page came from. A failure throws what the server said about it. */

export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The key lives as long as the tab: what scripts of another tab or a later visitor find is nothing. */
export const setKey = (key) => sessionStorage.setItem("key", key.replace(/[^\x21-\x7e]/g, ""));
export const key = () => sessionStorage.getItem("key") ?? "";

export async function ask(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  if (key()) headers.Authorization = `Bearer ${key()}`;
  const response = await fetch(path, body ? { method: "POST", headers, body: JSON.stringify(body), signal } : { headers });
  if (response.ok) return response;
  const answer = await response.json().catch(() => null);
  throw new Refusal(response.status, answer?.error?.message ?? `${response.status} ${response.statusText}`);
}

export const json = async (path, body, signal) => (await ask(path, body, signal)).json();

/** Speech while it is made: `onHead` gets the headers, `onSamples` each piece as Float32Array. Resolves at the end. */
export async function stream(body, signal, onHead, onSamples) {
  const response = await ask("v1/audio/speech", { ...body, response_format: "pcm" }, signal);
  onHead(response.headers);
  const reader = response.body.getReader();
  let odd = new Uint8Array();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const bytes = new Uint8Array(odd.length + value.length);
    bytes.set(odd);
    bytes.set(value, odd.length);
    const whole = bytes.length & ~1; // a piece may end within a sample
    odd = bytes.slice(whole);
    const view = new DataView(bytes.buffer, 0, whole);
    const samples = new Float32Array(whole / 2);
    for (let i = 0; i < samples.length; i += 1) samples[i] = view.getInt16(2 * i, true) / 32768;
    if (samples.length) onSamples(samples);
  }
}
