// What Node.js has built in: fetch sends its own FormData.
// node builtin.mjs ADDRESS KEY FILE
import fs from "node:fs";

const [address, key, path] = process.argv.slice(2);

const form = new FormData();
form.append("file", await fs.openAsBlob(path), "talk.wav");
form.append("response_format", "verbose_json");

const headers = { Authorization: `Bearer ${key}` };
const answer = await fetch(`${address}/v1/transcribe`, { method: "POST", headers, body: form });
console.log(JSON.stringify(await answer.json()));
