// Requests to the account API, with the session of the page.

export class Problem extends Error {
  constructor(status, body) {
    super(body.error ?? `The server answered ${status}. Try again later.`);
    Object.assign(this, { status, body });
  }
}

const UNREACHABLE = "The server cannot be reached. Check that it runs and that this machine is connected.";

export function address(path, query = {}) {
  const url = new URL(path.startsWith("v1/") ? path : `api/v1/${path}`, document.baseURI);
  for (const [name, value] of Object.entries(query)) {
    if (value !== "" && value !== undefined && value !== null) url.searchParams.set(name, value);
  }
  return url;
}

export const place = (id, rest = "") => `transcripts/${encodeURIComponent(id)}/${rest}`;

// The answer of a request, parsed. Throws Problem, with status 0 if nothing answered.
export async function api(path, { query, body, ...options } = {}) {
  const sent = body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  let answer, parsed = {};
  try {
    answer = await fetch(address(path, query), { credentials: "same-origin", ...sent, ...options });
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new Problem(0, { error: UNREACHABLE });
  }
  try {
    parsed = await answer.json();
  } catch (problem) {
    if (answer.ok) throw new Problem(0, { error: problem.name === "AbortError" ? "" : UNREACHABLE });
  }
  if (!answer.ok) throw new Problem(answer.status, parsed);
  return parsed;
}

export const FORMATS = [
  ["txt", "Text"], ["docx", "Word"], ["pdf", "PDF"], ["srt", "Subtitles, SRT"], ["vtt", "Subtitles, VTT"],
  ["md", "Markdown"], ["csv", "Table, CSV"], ["tsv", "Table, TSV"], ["json", "JSON"],
];

// Downloads exports one after the other; browsers drop some of those that begin at once.
export async function download(ids, format, query = {}) {
  for (const id of ids) {
    const link = Object.assign(document.createElement("a"), { href: address(place(id, `export/${format}/`), query), download: "" });
    link.click();
    await new Promise((resolve) => setTimeout(resolve, 400));
  }
}
