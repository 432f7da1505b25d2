// A mistake that is easily made: the built-in fetch turns a form of form-data into the text [object FormData].
// node mistaken.mjs ADDRESS KEY FILE
import fs from "node:fs";
import FormData from "form-data";

const [address, key, path] = process.argv.slice(2);

const form = new FormData();
form.append("file", fs.createReadStream(path));

const headers = { Authorization: `Bearer ${key}`, ...form.getHeaders() };
const answer = await fetch(`${address}/v1/transcribe`, { method: "POST", headers, body: form });
console.log(JSON.stringify({ status: answer.status, ...(await answer.json()) }));
