/** The texts of the page, in Chinese and in English. The browser stores the chosen language. */

const STRINGS = {
  zh: {
    text: "文本", ssml: "SSML 文档", plain: "纯文本", placeholder: "在这里输入要朗读的中文……",
    voice: "音色", emotion: "情感", speaker: "说话人", format: "格式", intensity: "强度", speed: "语速", pitch: "音高",
    volume: "音量", speak: "朗读", stop: "停止", pause: "暂停", resume: "继续", reset: "重置", download: "下载",
    first: "首音", seconds: "时长", revision: "版本", reading: "拼音", readingHint: "点按一个词可以改正读音",
    history: "历史", restore: "恢复设置", clear: "清空", speaking: "正在合成……", stopped: "已停止",
    broken: "语音在中途断开，下面是已经收到的部分", key: "API 密钥", keyHint: "这台服务器需要 API 密钥，请在设置里填写",
    settings: "设置", theme: "明暗", language: "English", correct: "改正读音", word: "文本里的词", pinyin: "拼音（带声调数字），或改读的词",
    explanation: "读法的依据", written: "文本", spoken: "读作", by: "依据",
    save: "保存", cancel: "取消", forget: "恢复默认读音", corrections: "改正的读音", waveform: "波形", links: "链接",
    api: "接口", voices: "音色", metrics: "指标",
    intro: "KubeVoice 在自己的服务器上把文字读成普通话。在这里试听音色、检查读音；应用程序通过 HTTP 接口使用同样的音色。",
    preview: "查看读音", previewing: "正在分析……", samples: "各种情感的试听", sample: "试听", semitones: "半音",
    defaultVoice: "默认", onDemand: "第一次使用时载入", cannotLoad: "无法载入", withDetails: (what, why) => `${what}（${why}）`,
    count: (characters, parts) => `${characters} 字${parts > 1 ? `，分 ${parts} 段合成` : ""}`,
    part: (number, parts) => `正在合成第 ${number} 段，共 ${parts} 段……`, incomplete: "词和读音都要填写",
    empty: "请先输入要朗读的文字", unknownVoice: "没有这个音色", cannotSpeak: "这段文字无法合成", tooLong: "文本太长",
    invalidValue: "有的内容不符合要求", tooMany: "请求太频繁，请过一会儿再试", busy: "服务器正忙，请过一会儿再试",
    unavailable: "服务暂时不可用，请过一会儿再试", unreachable: "连接不上服务器，请检查网络", failed: "服务器出错了",
  },
  en: {
    text: "Text", ssml: "SSML document", plain: "Plain text", placeholder: "Chinese text to synthesize…",
    voice: "Voice", emotion: "Emotion", speaker: "Speaker", format: "Format", intensity: "Intensity", speed: "Speed",
    pitch: "Pitch", volume: "Volume", speak: "Speak", stop: "Stop", pause: "Pause", resume: "Resume", reset: "Reset",
    download: "Download", first: "First audio", seconds: "Length", revision: "Revision",
    reading: "Pinyin", readingHint: "Click a word to correct its reading", history: "History", restore: "Restore settings", clear: "Clear", speaking: "Synthesizing…", stopped: "Stopped",
    broken: "The speech was interrupted; the part that was received is below", key: "API key",
    keyHint: "This server needs an API key; enter it in the settings", settings: "Settings", theme: "Light or dark",
    language: "中文", correct: "Correct the reading", word: "Word in the text", pinyin: "Pinyin with tone digits, or words to read instead",
    explanation: "What decided the readings", written: "Text", spoken: "Read as", by: "Decided by", save: "Save", cancel: "Cancel",
    forget: "Restore the default reading", corrections: "Corrected readings", waveform: "Waveform", links: "Links", api: "API",
    voices: "Voices", metrics: "Metrics",
    intro: "KubeVoice reads text aloud in Mandarin, on your own servers. Try the voices and check readings here; applications use the same voices over the HTTP API.",
    preview: "Show the reading", previewing: "Analyzing…", samples: "Samples of the emotions", sample: "Sample", semitones: "semitones",
    defaultVoice: "Default", onDemand: "Loaded when first used", cannotLoad: "Cannot be loaded", withDetails: (what, why) => `${what} (${why})`,
    count: (characters, parts) => `${characters} characters${parts > 1 ? `, in ${parts} parts` : ""}`,
    part: (number, parts) => `Synthesizing part ${number} of ${parts}…`, incomplete: "Enter the word and its reading",
    empty: "Enter a text first", unknownVoice: "There is no such voice", cannotSpeak: "This text cannot be spoken", tooLong: "The text is too long",
    invalidValue: "Something that was entered is not valid", tooMany: "Too many requests; try again in a while", busy: "The server is busy; try again in a while",
    unavailable: "The service is not available; try again in a while", unreachable: "The server cannot be reached; check the network", failed: "The server failed",
  },
};
const EMOTIONS = {
  neutral: "中性", happy: "开心", sad: "悲伤", angry: "生气", serious: "严肃", polite: "礼貌", narrative: "叙述",
  encouraging: "鼓励", calm: "平静", urgent: "急切", fear: "害怕", disgust: "厌恶", surprise: "惊讶", gentle: "温柔",
  relax: "放松", lyrical: "抒情", disgruntled: "不满", satisfied: "满意", disappointed: "失望", excited: "兴奋",
  anxiety: "焦虑", jealousy: "嫉妒", hate: "憎恨", pity: "怜悯", pleasure: "愉悦", arousal: "激动", dominance: "强势",
};

let language = localStorage.getItem("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");

/** The text of a key in the chosen language; a text with blanks gets what fills them. */
export function t(key, ...values) {
  const text = STRINGS[language][key];
  return typeof text === "function" ? text(...values) : text;
}

export const emotionName = (label) => (language === "zh" && EMOTIONS[label] ? EMOTIONS[label] : label);

/** Put the chosen language into everything that has a data-t (text) or data-t-label (accessible name). */
export function translate() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of document.querySelectorAll("[data-t-label]")) node.setAttribute("aria-label", t(node.dataset.tLabel));
  for (const node of document.querySelectorAll("[data-t-placeholder]")) node.placeholder = t(node.dataset.tPlaceholder);
}

export function switchLanguage() {
  language = language === "zh" ? "en" : "zh";
  localStorage.setItem("language", language);
  translate();
}
