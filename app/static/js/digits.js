// Persian and Latin digits.

const PERSIAN = "۰۱۲۳۴۵۶۷۸۹";
const ARABIC = "٠١٢٣٤٥٦٧٨٩";

export const LANGUAGE = document.documentElement.lang;

// Return the text with its digits as the reader writes them.
export function localDigits(text) {
  return LANGUAGE === "fa" ? text.replace(/\d/g, (digit) => PERSIAN[Number(digit)]) : text;
}

// Return the text with Latin digits only.
export function latinDigits(text) {
  return text
    .replace(/[۰-۹]/g, (digit) => String(PERSIAN.indexOf(digit)))
    .replace(/[٠-٩]/g, (digit) => String(ARABIC.indexOf(digit)));
}
