import { constants } from 'node:fs';
import { open, readdir, realpath, type FileHandle } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { errnoOf } from '../../../../base/errors.js';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { HttpError } from '../http-error.js';
import { sendText, type CallHandler } from './call.js';
import { hasOptions, journalOf, parseLogQuery, type NodeLogQuery } from './node-log-query.js';

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY } = constants;

export interface NodeLogsOptions {
  readonly enabled: boolean;
  readonly dir: string;
  /** `enableSystemLogQuery`: services are answered for as well. */
  readonly query: boolean;
}

/**
 * `/logs/`: the machine's log folder, read-only. Links count where they lead to something in the folder; what they lead to is then opened
 * part by part without following any, so that nothing outside can be reached even if it is exchanged meanwhile.
 */
export function nodeLogs({ enabled, dir, query: mayQuery }: NodeLogsOptions): CallHandler {
  return async ({ params, query, request }, response, signal) => {
    if (!enabled) throw new HttpError(405, 'logs endpoint is disabled.');
    const path = params['rest'] ?? '';
    const asked = query.has('query');
    if (asked && !mayQuery)
      throw new HttpError(406, 'logs query is disabled: set enableSystemLogQuery in the configuration of the node.');
    const parsed = parseLogQuery(query);
    if (!parsed) return await sendFile(dir, path, request, response, signal);
    if (path !== '') throw new HttpError(406, 'path not allowed in query mode');
    if (parsed.file !== undefined) return await sendFile(dir, parsed.file, request, response, signal);
    const journal = await journalOf(parsed, signal);
    if (journal) return sendText(response, journal);
    await sendServiceFiles(dir, parsed, response, signal);
  };
}

async function sendFile(
  dir: string,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  await using file = await openBelow(dir, path);
  const info = await file.stat();
  if (info.isDirectory()) return sendText(response, await listing(file), 'text/html; charset=utf-8');
  if (!info.isFile()) throw new HttpError(403, '403 Forbidden');
  response.writeHead(200, {
    'content-type': 'text/plain; charset=utf-8',
    'x-content-type-options': 'nosniff',
    'last-modified': info.mtime.toUTCString(),
    'content-length': info.size,
  });
  // As long as it was when it was announced: a log grows while it is read.
  if (info.size === 0 || request.method === 'HEAD') response.end();
  else await pipeline(file.createReadStream({ start: 0, end: info.size - 1, autoClose: false }), response, { signal });
}

/** Services that the journal does not know may log to a file of their name. */
async function sendServiceFiles(
  dir: string,
  query: NodeLogQuery,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' });
  if (hasOptions(query))
    return void response.end(
      `\noptions present and query resolved to log files for [${query.services.join(' ')}]\ntry without specifying options\n`,
    );
  for (const name of query.services) {
    const file = await firstFile(dir, [name, `${name}.log`, `${name}/${name}.log`]);
    if (!file) {
      response.write(`\nlog not found for ${name}\n`);
      continue;
    }
    await using opened = file;
    await pipeline(opened.createReadStream({ start: 0, autoClose: false }), response, { signal, end: false });
  }
  response.end();
}

async function firstFile(dir: string, paths: readonly string[]): Promise<FileHandle | undefined> {
  for (const path of paths) {
    try {
      const file = await openBelow(dir, path);
      if ((await file.stat()).isFile()) return file;
      await file.close();
    } catch (err) {
      if (!(err instanceof HttpError) || err.failure.status !== 404) throw err;
    }
  }
  return undefined;
}

async function openBelow(dir: string, path: string): Promise<FileHandle> {
  try {
    const root = await realpath(dir);
    const inside = relative(root, await realpath(join(root, path)));
    if (inside.startsWith('..')) throw new HttpError(403, '403 Forbidden');
    let at = await open(root, O_RDONLY | O_DIRECTORY);
    for (const part of inside.split('/').filter((each) => each !== '')) {
      const parent = at;
      try {
        at = await open(`/proc/self/fd/${parent.fd}/${part}`, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      } finally {
        await parent.close();
      }
    }
    return at;
  } catch (err) {
    switch (errnoOf(err)) {
      case 'ENOENT':
      case 'ENOTDIR':
      case 'ENAMETOOLONG':
        throw new HttpError(404, '404 page not found');
      case 'ELOOP':
      case 'EACCES':
      case 'ENXIO':
        throw new HttpError(403, '403 Forbidden');
      default:
        throw err;
    }
  }
}

async function listing(folder: FileHandle): Promise<string> {
  const entries = await readdir(`/proc/self/fd/${folder.fd}`, { withFileTypes: true });
  const lines = entries
    .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
    .toSorted()
    .map((name) => `<a href="${encodeURIComponent(name).replace(/%2F$/, '/')}">${escaped(name)}</a>\n`);
  return `<!doctype html>\n<meta name="viewport" content="width=device-width">\n<pre>\n${lines.join('')}</pre>\n`;
}

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&#34;');
