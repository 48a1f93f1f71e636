// Check the shown page: contrast, text size, names and sizes of controls, horizontal scrolling. Returns the faults.
() => {
  const found = [];

  // CSS has many notations for a colour. The canvas converts each to RGBA.
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const paint = canvas.getContext("2d", { willReadFrequently: true });
  const known = new Map();

  function parse(colour) {
    if (!known.has(colour)) {
      paint.clearRect(0, 0, 1, 1);
      paint.fillStyle = colour;
      paint.fillRect(0, 0, 1, 1);
      const [r, g, b, alpha] = paint.getImageData(0, 0, 1, 1).data;
      known.set(colour, { rgb: [r, g, b], alpha: alpha / 255 });
    }
    return known.get(colour);
  }

  function over(front, alpha, back) {
    return front.map((value, index) => value * alpha + back[index] * (1 - alpha));
  }

  // What an element has behind it is the same for all texts in it.
  function remember(find) {
    const found = new Map();
    return (element) => {
      if (!found.has(element)) found.set(element, find(element));
      return found.get(element);
    };
  }

  const background = remember((element) => {
    if (!element) return [255, 255, 255];
    const layer = parse(getComputedStyle(element).backgroundColor);
    return layer.alpha === 1 ? layer.rgb : over(layer.rgb, layer.alpha, background(element.parentElement));
  });

  const opacityOf = remember((element) =>
    element ? Number(getComputedStyle(element).opacity) * opacityOf(element.parentElement) : 1);

  function luminance(rgb) {
    const [r, g, b] = rgb.map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  function contrast(element, pseudo) {
    const style = getComputedStyle(element, pseudo);
    const opacity = opacityOf(element) * (pseudo ? Number(style.opacity) : 1);
    const back = background(element);
    const colour = parse(style.color);
    const front = over(colour.rgb, colour.alpha * opacity, back);
    const [light, dark] = [luminance(front), luminance(back)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  }

  function check(element, text, pseudo = null) {
    const ratio = contrast(element, pseudo);
    if (ratio < 4.5) found.push(`contrast ${ratio.toFixed(2)}: ${text.trim().slice(0, 40)} (${element.className})`);
  }

  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility({ checkVisibilityCSS: true, checkOpacity: true })) continue;
    if (["SCRIPT", "STYLE", "OPTION", "TEXTAREA"].includes(element.tagName)) continue;
    check(element, node.data);
    if (parseFloat(getComputedStyle(element).fontSize) < 12) found.push(`small text: ${node.data.trim().slice(0, 40)}`);
  }

  for (const control of document.querySelectorAll("a, button, input, select, textarea, audio")) {
    if (!control.checkVisibility({ checkVisibilityCSS: true }) || control.type === "hidden") continue;
    const labels = [...(control.labels ?? [])].map((label) => label.innerText.trim()).join(" ");
    const name = control.getAttribute("aria-label") || labels || control.innerText?.trim();
    if (!name) found.push(`without a name: ${control.outerHTML.slice(0, 80)}`);
    if (control.matches("input, select, textarea") && !["checkbox", "radio", "file"].includes(control.type)) {
      check(control, `${control.name} = ${control.value}`);
      if (control.placeholder && !control.value) check(control, control.placeholder, "::placeholder");
    }
    const box = control.getBoundingClientRect();
    const inText = control.matches("a") && getComputedStyle(control).display === "inline";
    const labelBox = control.labels?.[0]?.getBoundingClientRect();
    const height = Math.max(box.height, labelBox?.height ?? 0);
    if (!inText && !control.matches(".skip-link") && height < 24) {
      found.push(`too small to click: ${name} (${Math.round(box.width)} x ${Math.round(height)})`);
    }
  }

  const width = document.documentElement.clientWidth;
  if (document.scrollingElement.scrollWidth > width) {
    const beyond = [...document.body.querySelectorAll("*")].filter((element) => {
      const box = element.getBoundingClientRect();
      return box.width && (box.right > width + 1 || box.left < -1) && getComputedStyle(element).position !== "absolute";
    });
    found.push(`scrolls horizontally: ${beyond.slice(0, 3).map((e) => `${e.tagName}.${e.className}`).join(", ")}`);
  }
  for (const element of document.querySelectorAll("main *")) {
    const style = getComputedStyle(element);
    if (["auto", "scroll"].includes(style.overflowX) && element.scrollWidth > element.clientWidth + 1 && element.tagName !== "TEXTAREA") {
      found.push(`an element scrolls horizontally: ${element.className} ${element.scrollWidth} > ${element.clientWidth}`);
    }
  }
  return found;
}
