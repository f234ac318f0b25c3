"""Opens the pages and charts of a folder in headless Chromium, wide and narrow, light and dark, and checks them.

usage: pages.py FOLDER [AXE]    AXE is the path of axe.min.js, the accessibility checker

What is checked of each page: no message in the console, nothing loaded from elsewhere, no sideways scrolling, no text that overflows its
box or its chart, no two texts of a chart on each other, a size of each chart, enough contrast. A picture of each is left in the folder.
"""

import base64
import pathlib
import sys

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

folder = pathlib.Path(sys.argv[1])
axe = pathlib.Path(sys.argv[2]).read_text() if len(sys.argv) > 2 and sys.argv[2] else None

# Returns a list of faults. Texts are compared by the boxes of their glyphs, which Range has for HTML and getBBox for SVG.
CHECK = """
const width = arguments[0];
const faults = [];
const short = text => JSON.stringify(text.trim().slice(0, 40));
const visible = element => element.getClientRects().length > 0;
if (document.documentElement.scrollWidth > width + 1)
    faults.push(`the page is ${document.documentElement.scrollWidth} pixels wide, the window ${width}`);
if (performance.getEntriesByType('resource').length) faults.push('it loads something');
if (document.querySelector('script')) faults.push('it has a script');

for (const svg of document.querySelectorAll('svg')) {
    if (!visible(svg)) continue;
    const frame = svg.getBoundingClientRect();
    const name = short(svg.querySelector('title')?.textContent ?? 'no title');
    if (!(svg.getAttribute('width') > 0 && svg.getAttribute('height') > 0 && frame.width > 100 && frame.height > 100))
        faults.push(`${name} has no size`);
    if (svg.getAttribute('role') !== 'img' || !svg.querySelector('desc')) faults.push(`${name} has no role or description`);
    const texts = [...svg.querySelectorAll('text')].filter(text => text.textContent.trim());
    if (!texts.length) faults.push(`${name} has no text`);
    const boxes = texts.map(text => {
        const box = text.getBoundingClientRect();
        // The box of a font is higher than its letters.
        const sideways = box.height > box.width && text.hasAttribute('transform');
        const [x, y] = sideways ? [0.18 * box.width, 1] : [1, 0.18 * box.height];
        return {text: text.textContent, left: box.left + x, right: box.right - x, top: box.top + y, bottom: box.bottom - y};
    });
    boxes.forEach((one, at) => {
        if (one.left < frame.left - 1 || one.right > frame.right + 1 || one.top < frame.top - 1 || one.bottom > frame.bottom + 1)
            faults.push(`${name}: ${short(one.text)} leaves the chart`);
        for (const other of boxes.slice(at + 1))
            if (one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom)
                faults.push(`${name}: ${short(one.text)} lies on ${short(other.text)}`);
    });
}

for (const element of document.querySelectorAll('h1, h2, h3, p, li, dt, dd, th, td, caption, a, code')) {
    if (!visible(element) || element.classList.contains('skip')) continue;
    const box = element.getBoundingClientRect();
    const range = document.createRange();
    range.selectNodeContents(element);
    const scrolls = element.closest('.scroll');
    for (const line of range.getClientRects())
        if (line.right > box.right + 1 && getComputedStyle(element).display !== 'inline')
            faults.push(`${short(element.textContent)} overflows its ${element.tagName}`);
    if (!scrolls && box.right > width + 1) faults.push(`${short(element.textContent)} leaves the window`);
}
if (width > 900)
    for (const table of document.querySelectorAll('.scroll'))
        if (table.scrollWidth > table.clientWidth + 1) faults.push(`table ${short(table.textContent)} must be scrolled on a wide screen`);

// Contrast of texts outside of heat maps, whose cells have a text of their own colour, and of bars.
const channel = value => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
const luminance = color => {
    const [red, green, blue] = color.match(/[\\d.]+/g).map(Number);
    return 0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
};
const contrast = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
};
const dark = matchMedia('(prefers-color-scheme: dark)').matches;
for (const svg of document.querySelectorAll('svg')) {
    if (!visible(svg)) continue;
    const back = getComputedStyle(svg.querySelector('rect')).fill;
    if ((luminance(back) < 0.2) !== dark) faults.push(`a chart is ${back} in the ${dark ? 'dark' : 'light'} theme`);
    for (const text of svg.querySelectorAll('text')) {
        const fill = getComputedStyle(text).fill;
        if (fill === back || fill === 'rgb(0, 0, 0)' || fill === 'rgb(254, 254, 254)') continue;
        if (contrast(fill, back) < 4.5) faults.push(`${short(text.textContent)} has too little contrast: ${fill} on ${back}`);
    }
}
return [...new Set(faults)];
"""

# Rules of WCAG 2.1, level AA, and best practices.
ACCESSIBLE = """
const done = arguments[arguments.length - 1];
axe.run({resultTypes: ['violations']}).then(
    result => done(result.violations.map(v => `${v.id}: ${v.help}: ${v.nodes[0].html.slice(0, 120)}`)), error => done([String(error)]));
"""

options = webdriver.ChromeOptions()
options.binary_location = "/usr/bin/chromium"
for argument in ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"]:
    options.add_argument(argument)
options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
driver.set_script_timeout(120)

failed = 0
checked = 0
try:
    charts = sorted(folder.glob("*.svg"))
    pages = [folder / name for name in ("report.html", "titles.html", "empty.html")]
    for path in pages + charts:
        for width, height in ((1280, 900), (390, 844)):
            if path.suffix == ".svg" and width == 390:
                continue
            for theme in ("light", "dark"):
                driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                       {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})
                driver.execute_cdp_cmd("Emulation.setEmulatedMedia",
                                       {"media": "screen", "features": [{"name": "prefers-color-scheme", "value": theme}]})
                driver.get(path.as_uri())
                faults = driver.execute_script(CHECK, width) if path.suffix == ".html" else driver.execute_script(
                    CHECK.replace("document.documentElement.scrollWidth > width + 1", "false"), width)
                faults += [entry["message"] for entry in driver.get_log("browser")]
                if axe and path.suffix == ".html":
                    driver.execute_script(axe)
                    faults += driver.execute_async_script(ACCESSIBLE)
                name = f"{path.stem}_{'desktop' if width > 500 else 'phone'}_{theme}"
                if path.suffix == ".html":
                    size = driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
                    clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 16000), "scale": 1}
                    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
                    (folder / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))
                checked += 1
                if faults:
                    failed += 1
                    print(f"{name}:", *faults[:20], sep="\n    ")
    # On paper.
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    driver.get(pages[0].as_uri())
    printed = driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True, "printBackground": False})
    (folder / "report.pdf").write_bytes(base64.b64decode(printed["data"]))
finally:
    driver.quit()
print(f"{checked} views checked, {failed} with faults" + ("" if axe else "; skipped: accessibility checker: the npm registry cannot be reached"))
sys.exit(1 if failed or not checked else 0)
