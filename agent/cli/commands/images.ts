import { once } from 'node:events';
import { createReadStream, createWriteStream, type ReadStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { errnoOf, errorText } from '../../../base/errors.js';
import type { ImageList, ImageProgress } from '../../serving/node-api/index.js';
import { ClientError, usage } from '../client/index.js';
import type { ClientFlags, CommandContext } from '../command-context.js';
import { bytesText } from '../output/bytes.js';
import { imageTable } from '../output/resource-tables.js';
import { checkOutput, printObjects, type OutputFlags } from '../output/print-objects.js';

export interface ListFlags extends ClientFlags, OutputFlags {
  readonly quiet?: boolean | undefined;
}

export async function listImages(flags: ListFlags, context: CommandContext): Promise<number> {
  checkOutput(flags.output);
  const { items, totalBytes } = await context.client.get<ImageList>('/v1/images');
  if (flags.quiet) {
    for (const { id } of items) context.out.write(`${id.replace('sha256:', '').slice(0, 12)}\n`);
    return 0;
  }
  const { header, rows, names } = imageTable(items, flags.output === 'wide', Date.now());
  const nothing = 'No images; get one with: berth images pull NAME, or: berth images import FILE';
  await printObjects(context, { kind: 'Image', single: false, objects: items, names, header, rows, nothing }, flags);
  if (flags.output === undefined && totalBytes !== undefined && rows.length > 0)
    context.err.write(`${bytesText(totalBytes)} on disk\n`);
  return 0;
}

export interface PullFlags extends ClientFlags {
  readonly username?: string | undefined;
  readonly passwordStdin?: boolean | undefined;
}

export async function pullImage(reference: string, flags: PullFlags, context: CommandContext): Promise<number> {
  if (flags.username !== undefined && !flags.passwordStdin)
    throw usage('pull: give the password on standard input, with --password-stdin');
  const password = flags.passwordStdin ? await passwordFromInput() : undefined;
  const body = JSON.stringify({ reference, username: flags.username, password });
  return await showProgress({ method: 'POST', path: '/v1/images/pull', body }, context);
}

async function passwordFromInput(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8') as AsyncIterable<string>) text += chunk;
  return text.replace(/\r?\n$/, '');
}

export interface ImportFlags extends ClientFlags {
  readonly tag?: string | undefined;
  readonly pin?: boolean | undefined;
}

export async function importImage(file: string, flags: ImportFlags, context: CommandContext): Promise<number> {
  const body = file === '-' ? process.stdin : await openFile(file);
  const query = { reference: flags.tag, pinned: flags.pin };
  return await showProgress({ method: 'POST', path: '/v1/images/import', query, body }, context);
}

async function openFile(file: string): Promise<ReadStream> {
  try {
    // It opens like a file, and fails at the first read.
    if ((await stat(file)).isDirectory()) throw new Error('it is a folder');
    const stream = createReadStream(file);
    await once(stream, 'open');
    return stream;
  } catch (err) {
    throw usage(`read ${file}: ${errorText(err)}`);
  }
}

/** One line that is written over on a terminal; the words alone elsewhere. */
async function showProgress(
  call: Parameters<CommandContext['client']['lines']>[0],
  { client, out, err, signal }: CommandContext,
): Promise<number> {
  let last = '';
  for await (const line of client.lines<ImageProgress>(call, signal)) {
    if (line.type === 'error') throw new ClientError(line.message, { code: 'refused', status: 0, reason: line.reason });
    if (line.type === 'done') {
      if (err.isTTY && last !== '') err.write('\r\u001B[K');
      for (const { repoTags, id, sizeBytes } of line.images)
        out.write(`${repoTags.join(', ') || id}  ${id}  ${bytesText(sizeBytes)}\n`);
      return 0;
    }
    if (line.text === last) continue;
    last = line.text;
    err.write(err.isTTY ? `\r\u001B[K${line.text}` : `${line.text}\n`);
  }
  if (signal.aborted) return 130;
  throw new ClientError('the agent went away before it was done', { code: 'broken' });
}

export interface ExportFlags extends ClientFlags {
  readonly output?: string | undefined;
  readonly format?: string | undefined;
}

/** To a file that must not be there yet, or to standard output. */
export async function exportImage(
  reference: string,
  flags: ExportFlags,
  { client, out, signal }: CommandContext,
): Promise<number> {
  const query = { reference, format: flags.format };
  const { output } = flags;
  if (output === undefined || output === '-') {
    if (out.isTTY) throw usage('export: an archive is no text for a terminal; give a file with -o FILE');
    const answer = await client.stream({ method: 'GET', path: '/v1/images/export', query }, signal);
    await pipeline(answer, out, { end: false });
    return 0;
  }
  const answer = await client.stream({ method: 'GET', path: '/v1/images/export', query }, signal);
  try {
    await pipeline(answer, createWriteStream(output, { flags: 'wx' }));
  } catch (err) {
    if (errnoOf(err) === 'EEXIST') throw usage(`write ${output}: it is there already`);
    if (isOfOpening(err)) throw usage(`write ${output}: ${errorText(err)}`);
    await rm(output, { force: true });
    throw err;
  }
  return 0;
}

/** What fails later has no path with it. */
const isOfOpening = (err: unknown): boolean => err instanceof Error && 'syscall' in err && err.syscall === 'open';

export async function removeImages(
  references: readonly string[],
  flags: ClientFlags & { readonly force?: boolean },
  { client, out, err }: CommandContext,
): Promise<number> {
  let code = 0;
  for (const reference of references) {
    try {
      await client.delete('/v1/images', { reference, force: flags.force });
      out.write(`${reference} removed\n`);
    } catch (failure) {
      // One that is used or not there keeps none of the others.
      if (!(failure instanceof ClientError) || failure.failure.code !== 'refused') throw failure;
      err.write(`berth: ${failure.message}\n`);
      code = 1;
    }
  }
  return code;
}

export async function tagImage(
  reference: string,
  name: string,
  _flags: ClientFlags,
  { client, out }: CommandContext,
): Promise<number> {
  await client.post('/v1/images/tag', { reference, name });
  out.write(`${name} tagged\n`);
  return 0;
}

export async function pinImage(
  reference: string,
  pinned: boolean,
  _flags: ClientFlags,
  { client, out }: CommandContext,
): Promise<number> {
  await client.post('/v1/images/pin', { reference, pinned: String(pinned) });
  out.write(`${reference} ${pinned ? 'pinned' : 'unpinned'}\n`);
  return 0;
}
