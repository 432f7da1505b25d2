// The program that the hosted API documents for Node.js: node-fetch sends a form of form-data.
// node documented.mjs ADDRESS KEY FILE [node-fetch-3]
import fs from "node:fs";
import FormData from "form-data";

const [address, key, path, library = "node-fetch"] = process.argv.slice(2);
const { default: fetch } = await import(library);

const form = new FormData();
form.append("file", fs.createReadStream(path));
form.append("model", "large-v3-turbo");
form.append("language", "auto");
form.append("diarize", "true");

const headers = { Authorization: `Bearer ${key}`, ...form.getHeaders() };
const answer = await fetch(`${address}/v1/transcribe`, { method: "POST", headers, body: form });
const result = await answer.json();
console.error(`Duration: ${result.duration.toFixed(1)}s`);
for (const segment of result.segments) {
  console.error(`[${segment.start.toFixed(1)}s] ${segment.speaker}: ${segment.text}`);
}
console.log(JSON.stringify(result));
