const $ = (id) => document.getElementById(id);

const EXAMPLES = [
  "今天天气真好，我们一起去公园散步吧！",
  "请在2026年11月24日15:30前，到3号楼208室领取快递。",
  "银行行长说，这一行的长处是稳。",
];
const EMOTIONS = {
  neutral: "中性", happy: "开心", sad: "悲伤", angry: "生气", fear: "害怕", disgust: "厌恶", surprise: "惊讶",
  calm: "平静", gentle: "温柔", relax: "放松", lyrical: "抒情", serious: "严肃", disgruntled: "不满",
  satisfied: "满意", disappointed: "失望", excited: "兴奋", anxiety: "焦虑", jealousy: "嫉妒", hate: "憎恨",
  pity: "怜悯", pleasure: "愉悦", arousal: "激动", dominance: "强势", none: "无",
};
const SLIDERS = ["intensity", "speed", "pitch", "volume"];
const MARKS = { a: "āáǎà", e: "ēéěè", i: "īíǐì", o: "ōóǒò", u: "ūúǔù", "ü": "ǖǘǚǜ" };

let voices = [];
let audioUrl = "";

/** zhong1 → zhōng: the mark goes on a, e or the o of ou; otherwise on the last vowel. */
function marked(syllable) {
  const match = /^([a-zêü]+?)([0-5])$/i.exec(syllable.replace(/v/g, "ü"));
  if (!match) return syllable;
  const [, letters, tone] = match;
  if (tone === "0" || tone === "5") return letters;
  const found = ["a", "e"].find((v) => letters.includes(v)) ?? (letters.includes("ou") ? "o" : null);
  const at = found ? letters.indexOf(found) : Math.max(...[..."iouü"].map((v) => letters.lastIndexOf(v)));
  return at < 0 ? syllable : letters.slice(0, at) + MARKS[letters[at]][tone - 1] + letters.slice(at + 1);
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function say(message, bad = false) {
  $("status").textContent = message;
  $("status").classList.toggle("bad", bad);
}

/** POST or GET, with the API key of this tab if the server wants one; a failure throws what the server said. */
async function ask(path, body) {
  const key = sessionStorage.getItem("key");
  const headers = { "Content-Type": "application/json", ...(key && { Authorization: `Bearer ${key}` }) };
  const response = await fetch(path, body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers });
  if (response.ok) return response;
  if (response.status === 401) {
    // Another call may have asked already, as two may be under way.
    const known = sessionStorage.getItem("key") !== key;
    const given = known || prompt("请输入 API 密钥 API key:");
    if (given) {
      if (!known) sessionStorage.setItem("key", given.replace(/[^\x21-\x7e]/g, ""));
      return ask(path, body);
    }
  }
  const answer = await response.json().catch(() => null);
  throw new Error(answer?.error?.message ?? `${response.status} ${response.statusText}`);
}

function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([value, label]) => element("option", label, { value })));
  if (chosen !== undefined) select.value = chosen;
  select.disabled = options.length < 2;
}

function showVoice() {
  const voice = voices.find((v) => v.name === $("voice").value);
  if (!voice) return;
  const label = (e) => (EMOTIONS[e] ? `${EMOTIONS[e]} ${e}` : e);
  fill($("emotion"), voice.emotions.map((e) => [e, label(e)]), voice.emotions.includes("neutral") ? "neutral" : undefined);
  fill($("speaker"), voice.speakers.map((s) => [s, s]));
}

function showSliders() {
  for (const id of SLIDERS) {
    const value = Number($(id).value);
    $(`${id}-value`).textContent = `${id === "pitch" && value > 0 ? "+" : ""}${value}${$(id).dataset.unit}`;
  }
}

function showCount() {
  $("count").textContent = `${$("text").value.length} / 4096`;
}

function showReading(analysis) {
  $("reading").replaceChildren(...analysis.pinyin.map(({ char, pinyin }) => {
    const ruby = element("ruby", char);
    ruby.append(element("rt", marked(pinyin), { lang: "zh-Latn-pinyin" }));
    return ruby;
  }));
}

async function speak() {
  const body = {
    input: $("text").value,
    voice: $("voice").value || null,
    emotion: $("emotion").value || null,
    speaker: $("speaker").value || null,
    response_format: $("format").value,
    stream: false,
    ...Object.fromEntries(SLIDERS.map((id) => [id, Number($(id).value)])),
  };
  $("speak").disabled = true;
  say("正在合成… Speaking…");
  const started = performance.now();
  try {
    const analysis = ask("v1/text/analyze", { text: body.input }).then((r) => r.json(), () => ({ pinyin: [] }));
    const response = await ask("v1/audio/speech", body);
    const blob = await response.blob();
    const latency = (performance.now() - started) / 1000;
    URL.revokeObjectURL(audioUrl);
    audioUrl = URL.createObjectURL(blob);
    $("audio").src = audioUrl;
    $("download").href = audioUrl;
    $("download").download = `kubevoice.${body.response_format}`;
    const seconds = Number(response.headers.get("X-Audio-Seconds"));
    $("latency").textContent = `${latency.toFixed(2)} s`;
    $("seconds").textContent = `${seconds.toFixed(2)} s`;
    $("rtf").textContent = (Number(response.headers.get("X-Synthesis-Seconds")) / seconds).toFixed(3);
    $("revision").textContent = response.headers.get("X-Revision").replace("sha256:", "").slice(0, 12);
    $("result").hidden = false;
    showReading(await analysis);
    say("");
    $("audio").play().catch(() => {}); // some browsers want another click first; the player is there
  } catch (error) {
    say(error.message, true);
  } finally {
    $("speak").disabled = false;
  }
}

async function start() {
  $("examples").append(...EXAMPLES.map((text, i) => {
    const button = element("button", `例句 ${i + 1}`, { type: "button", title: text });
    button.addEventListener("click", () => { $("text").value = text; showCount(); $("text").focus(); });
    return button;
  }));
  $("text").addEventListener("input", showCount);
  $("text").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
  });
  for (const id of SLIDERS) $(id).addEventListener("input", showSliders);
  $("voice").addEventListener("change", showVoice);
  $("form").addEventListener("submit", (event) => { event.preventDefault(); if (!$("speak").disabled) speak(); });
  $("form").addEventListener("reset", () => setTimeout(() => { showVoice(); showSliders(); showCount(); say(""); }));
  showSliders();
  showCount();
  try {
    voices = (await (await ask("v1/voices")).json()).voices;
    fill($("voice"), voices.map((v) => [v.name, v.name]), voices.find((v) => v.default)?.name);
    showVoice();
  } catch (error) {
    say(error.message, true);
  }
}

start();
