/** What is said about an error, in the language of the page. */

import { t } from "./strings.js";

const HEADLINES = {
  missing_api_key: "keyHint", invalid_api_key: "keyHint", unknown_voice: "unknownVoice", cannot_speak: "cannotSpeak",
  empty_text: "empty", text_too_long: "tooLong", body_too_large: "tooLong", invalid_value: "invalidValue",
  rate_limited: "tooMany", rate_exceeded: "tooMany", busy: "busy", unavailable: "unavailable",
  keys_unavailable: "unavailable", voice_replaced: "unavailable", unreachable: "unreachable",
};
const COMPLETE = ["empty", "busy", "tooMany", "unreachable"]; // the server's words add nothing

/** A headline by the error's code; the server's own words, which are English, have the details. */
export function describe(error) {
  const headline = HEADLINES[error.code] ?? (error.status >= 500 ? "failed" : null);
  if (!headline) return error.message;
  return COMPLETE.includes(headline) ? t(headline) : t("withDetails", t(headline), error.message);
}
