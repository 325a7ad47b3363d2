import { spawnSync } from 'node:child_process';
import type { Duplex } from 'node:stream';
import { FrameConnection, frameTypes, type StreamEnd } from '../serving/framed-stream/index.js';
import { ClientError } from './client/index.js';

export interface SessionOptions {
  readonly stdin: boolean;
  readonly tty: boolean;
  readonly input: NodeJS.ReadStream;
  readonly out: NodeJS.WriteStream;
  readonly err: NodeJS.WriteStream;
}

/**
 * Joins this terminal with a command in a container until the command ends; resolves with its exit code. The terminal is put back
 * as it was, however the session ends.
 */
export async function runSession(socket: Duplex, head: Buffer, options: SessionOptions): Promise<number> {
  const { input, out, err } = options;
  const connection = new FrameConnection(socket);
  const raw = options.tty && options.stdin && input.isTTY;
  const onResize = (): void => {
    if (out.columns > 0 && out.rows > 0)
      connection.sendJson(frameTypes.resize, { columns: out.columns, rows: out.rows });
  };
  const onInput = (chunk: Buffer): void => {
    connection.send(frameTypes.stdin, chunk);
    // The far side is slower than the keyboard or the pipe.
    if (socket.writableNeedDrain) {
      input.pause();
      socket.once('drain', () => input.resume());
    }
  };
  const onInputEnd = (): void => connection.send(frameTypes.eof, Buffer.alloc(0));
  let lastWords = '';
  try {
    const end = await new Promise<StreamEnd>((resolve, reject) => {
      let last: StreamEnd | undefined;
      connection.listen(({ type, payload }) => {
        if (type === frameTypes.stdout) out.write(payload);
        else if (type === frameTypes.stderr) {
          err.write(payload);
          lastWords = payload.toString('utf8').trim();
        } else if (type === frameTypes.end) last = JSON.parse(payload.toString('utf8')) as StreamEnd;
        if (last) resolve(last);
        return true;
      }, head);
      void connection.closed.then(() => {
        if (!last) reject(new ClientError('the agent went away', { code: 'broken' }));
      });
      if (options.tty && out.isTTY) out.on('resize', onResize);
      if (!options.stdin) return;
      if (raw) {
        input.setRawMode(true);
        // Node's raw mode still adds a carriage return to each line feed, and full-screen programs mean none by it. Without stty
        // the session is only less pretty; `setRawMode(false)` puts this back too.
        spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'] });
      }
      input.on('data', onInput).once('end', onInputEnd);
      input.resume();
    });
    // What the runtime said itself stands there already.
    if (end.error && lastWords !== '' && end.error.message.endsWith(lastWords)) return 1;
    if (end.error) throw new ClientError(end.error.message, { code: 'refused', status: 0, reason: end.error.reason });
    return end.exitCode ?? 0;
  } finally {
    if (raw) input.setRawMode(false);
    out.off('resize', onResize);
    input.off('data', onInput).off('end', onInputEnd);
    input.pause();
    connection.destroy();
  }
}
