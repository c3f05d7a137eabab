// The two questions that the page asks its server, and what can go wrong, in words.

/** Something that kept the server from answering; `kind` says what would help. */
export class Refusal extends Error {
  /** @param {"token"|"crowded"|"again"|"picture"} kind */
  constructor(kind, message, seconds = 0) {
    super(message);
    this.kind = kind;
    /** When the server wants to be asked again. */
    this.seconds = seconds;
  }
}

/** What GET /model says: class names, limits, thresholds. */
export async function askModel(token) {
  return (await ask("model", { headers: headersOf(token) })).json();
}

/** What the model finds in a picture, as `Instances.to_coco` gives it. */
export async function askObjects(file, { threshold, token, signal }) {
  const body = new FormData();
  body.append("file", file, file.name);
  const request = { method: "POST", body, signal, headers: headersOf(token) };
  return (await ask(`predict?threshold=${threshold}`, request)).json();
}

function headersOf(token) {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Refusal("again", "The server cannot be reached. Is it still running?");
  }
  if (!response.ok) throw await refusalOf(response);
  return response;
}

async function refusalOf(response) {
  const said = (await response.json().catch(() => ({}))).error;
  const seconds = Number(response.headers.get("Retry-After")) || 2;
  switch (response.status) {
    case 401:
      return new Refusal("token", said ?? "This server asks for a token.");
    case 429:
      return new Refusal("crowded", said ?? "The server is busy.", seconds);
    case 400: case 413: case 415: case 422:
      return new Refusal("picture", said ?? `The server did not take the picture (${response.status}).`);
    default:
      return new Refusal("again", said ?? `The server failed (${response.status}).`);
  }
}
