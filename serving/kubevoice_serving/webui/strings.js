/** The texts of the page, in Chinese and in English. The browser stores the chosen language. */

const STRINGS = {
  zh: {
    text: "文本", ssml: "SSML 文档", plain: "纯文本", placeholder: "在这里输入要朗读的中文……", example: "例句",
    voice: "音色", emotion: "情感", speaker: "说话人", format: "格式", intensity: "强度", speed: "语速", pitch: "音高",
    volume: "音量", speak: "朗读", stop: "停止", pause: "暂停", resume: "继续", reset: "重置", download: "下载",
    first: "首音", seconds: "时长", revision: "版本", reading: "拼音", readingHint: "点按一个词可以改正读音",
    history: "历史", restore: "恢复设置", clear: "清空", speaking: "正在合成……", stopped: "已停止",
    broken: "语音在中途断开，下面是已经收到的部分", key: "API 密钥", keyHint: "这台服务器需要 API 密钥，请在设置里填写",
    settings: "设置", theme: "明暗", language: "English", correct: "改正读音", word: "文本里的词", pinyin: "拼音（带声调数字），或改读的词",
    explanation: "读法的依据", written: "文本", spoken: "读作", by: "依据",
    save: "保存", cancel: "取消", forget: "恢复默认读音", corrections: "改正的读音", waveform: "波形", links: "链接",
    api: "接口", voices: "音色列表", metrics: "指标",
  },
  en: {
    text: "Text", ssml: "SSML document", plain: "Plain text", placeholder: "Chinese text to synthesize…", example: "Example",
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
  },
};
const EMOTIONS = {
  neutral: "中性", happy: "开心", sad: "悲伤", angry: "生气", serious: "严肃", polite: "礼貌", narrative: "叙述",
  encouraging: "鼓励", calm: "平静", urgent: "急切", fear: "害怕", disgust: "厌恶", surprise: "惊讶", gentle: "温柔",
  relax: "放松", lyrical: "抒情", disgruntled: "不满", satisfied: "满意", disappointed: "失望", excited: "兴奋",
  anxiety: "焦虑", jealousy: "嫉妒", hate: "憎恨", pity: "怜悯", pleasure: "愉悦", arousal: "激动", dominance: "强势",
};

let language = localStorage.getItem("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");

export const t = (key) => STRINGS[language][key];
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
