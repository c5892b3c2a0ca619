// Renders SVG files to raw pixels.  node render.cjs MODULES JOBS.json
// JOBS is a list of {svg, out, size}; each `out` gets width and height (u32, little endian) and premultiplied RGBA.
const fs = require("fs");
const { createRequire } = require("module");
const { Resvg } = createRequire(process.argv[2] + "/")("@resvg/resvg-js");

function render(svg, size) {
  const options = (mode) => ({ fitTo: { mode, value: size }, font: { loadSystemFonts: false } });
  const byWidth = new Resvg(svg, options("width"));
  return byWidth.height > byWidth.width ? new Resvg(svg, options("height")).render() : byWidth.render();
}

for (const job of JSON.parse(fs.readFileSync(process.argv[3], "utf8"))) {
  const image = render(fs.readFileSync(job.svg, "utf8"), job.size);
  const header = Buffer.alloc(8);
  header.writeUInt32LE(image.width, 0);
  header.writeUInt32LE(image.height, 4);
  fs.writeFileSync(job.out, Buffer.concat([header, image.pixels]));
}
