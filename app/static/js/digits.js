// Persian and Latin digits.

const PERSIAN = "۰۱۲۳۴۵۶۷۸۹";
const ARABIC = "٠١٢٣٤٥٦٧٨٩";

export const LANGUAGE = document.documentElement.lang;

// Return the text with its digits as the reader writes them.
export function localDigits(text) {
  return LANGUAGE === "fa" ? text.replace(/\d/g, (digit) => PERSIAN[Number(digit)]) : text;
}

// Return the form of a text in which searches compare it, like `search_key` in app/domain/text.py.
export function searchKey(text) {
  return latinDigits(text.toLowerCase())
    .replace(/[\s\u200c-\u200f\u0640\u064b-\u0652\u0654]/g, "")
    .replace(/[\u064a\u0649\u0626]/g, "\u06cc")
    .replace(/\u0643/g, "\u06a9")
    .replace(/[\u0629\u06c0\u06d5]/g, "\u0647")
    .replace(/[\u0622\u0623\u0625\u0671]/g, "\u0627")
    .replace(/\u0624/g, "\u0648");
}

// Return the text with Latin digits only.
export function latinDigits(text) {
  return text
    .replace(/[۰-۹]/g, (digit) => String(PERSIAN.indexOf(digit)))
    .replace(/[٠-٩]/g, (digit) => String(ARABIC.indexOf(digit)));
}
