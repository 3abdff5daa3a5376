/** Calls to the page's server. A failure throws an ApiError with the server's message. */

export class ApiError extends Error {
  /** `code` is the short name of the error, or "unreachable" if there was no answer. */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The API key is stored until the tab is closed; no other tab can read it. */
export const setKey = (key) => sessionStorage.setItem("key", key.replace(/[^\x21-\x7e]/g, ""));
export const key = () => sessionStorage.getItem("key") ?? "";

async function send(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    throw error.name === "AbortError" ? error : new ApiError(0, "unreachable", error.message);
  }
}

export async function call(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  if (key()) headers.Authorization = `Bearer ${key()}`;
  const response = await send(path, body ? { method: "POST", headers, body: JSON.stringify(body), signal } : { headers });
  if (response.ok) return response;
  const error = (await response.json().catch(() => null))?.error;
  throw new ApiError(response.status, error?.code, error?.message ?? `${response.status} ${response.statusText}`);
}

export const json = async (path, body, signal) => (await call(path, body, signal)).json();

/** Stream speech: `onHead` gets the headers, `onSamples` each chunk as a Float32Array. Resolves at the end. */
export async function stream(body, signal, onHead, onSamples) {
  const response = await call("v1/audio/speech", { ...body, response_format: "pcm" }, signal);
  onHead(response.headers);
  const reader = response.body.getReader();
  let rest = new Uint8Array();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const bytes = new Uint8Array(rest.length + value.length);
    bytes.set(rest);
    bytes.set(value, rest.length);
    const whole = bytes.length & ~1; // a chunk may end within a sample
    rest = bytes.slice(whole);
    const view = new DataView(bytes.buffer, 0, whole);
    const samples = new Float32Array(whole / 2);
    for (let i = 0; i < samples.length; i += 1) samples[i] = view.getInt16(2 * i, true) / 32768;
    if (samples.length) onSamples(samples);
  }
}
