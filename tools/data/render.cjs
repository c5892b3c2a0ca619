// Renders SVG files to raw pixels on the standard output.  node render.cjs MODULES JOBS.json
// JOBS is a list of {svg, size}; each gives width and height (u32, little endian) and premultiplied RGBA.
// A file that cannot be rendered gives 0, 0 and no pixels.
const fs = require("fs");
const { createRequire } = require("module");
const { Resvg } = createRequire(process.argv[2] + "/")("@resvg/resvg-js");

function render(svg, size) {
  const options = (mode) => ({ fitTo: { mode, value: size }, font: { loadSystemFonts: false } });
  const byWidth = new Resvg(svg, options("width"));
  return byWidth.height > byWidth.width ? new Resvg(svg, options("height")).render() : byWidth.render();
}

function renderOrNothing(svg, size) {
  try {
    return render(svg, size);
  } catch (error) {
    return { width: 0, height: 0, pixels: Buffer.alloc(0) };
  }
}

function write(buffer) {
  let done = 0;
  while (done < buffer.length) {
    try {
      done += fs.writeSync(1, buffer, done);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error; // the reader has not emptied the pipe yet
    }
  }
}

for (const job of JSON.parse(fs.readFileSync(process.argv[3], "utf8"))) {
  const image = renderOrNothing(job.svg, job.size);
  const header = Buffer.alloc(8);
  header.writeUInt32LE(image.width, 0);
  header.writeUInt32LE(image.height, 4);
  write(Buffer.concat([header, image.pixels]));
}
