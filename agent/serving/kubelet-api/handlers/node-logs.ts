import { constants } from 'node:fs';
import { open, readdir, realpath, type FileHandle } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { errnoOf } from '../../../../base/errors.js';
import { HttpError } from '../http-error.js';
import { sendText, type CallHandler } from './call.js';

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY } = constants;

export interface NodeLogsOptions {
  readonly enabled: boolean;
  readonly dir: string;
}

/**
 * `/logs/`: the machine's log folder, read-only. Links count where they lead to something in the folder; what they lead to is then opened
 * part by part without following any, so that nothing outside can be reached even if it is exchanged meanwhile.
 */
export function nodeLogs({ enabled, dir }: NodeLogsOptions): CallHandler {
  return async ({ params, request }, response, signal) => {
    if (!enabled) throw new HttpError(405, 'logs endpoint is disabled.');
    await using file = await openBelow(dir, params['rest'] ?? '');
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
    else
      await pipeline(file.createReadStream({ start: 0, end: info.size - 1, autoClose: false }), response, { signal });
  };
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
