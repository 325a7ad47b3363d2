import type { LogPiece } from './log-lines.js';

const header = /^[<>] \d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d\.\d+ +length=(\d+) /;
const streams: Readonly<Record<number, LogPiece['stream']>> = { 2: 'stdout', 3: 'stderr' };

/**
 * Reads what `socat -x -d -d` prints: notices, and for each packet a line with its length and a line of hexadecimal bytes. A packet of
 * conmon's attach socket begins with the byte of its stream.
 */
export class PacketDump {
  #rest = '';
  #bytesExpected = 0;
  #pieces: LogPiece[] = [];
  /** socat's last words about itself; of use when it failed. */
  lastWords = '';
  /** socat is connected and has begun to read. */
  begun = false;

  push(chunk: Buffer): void {
    const lines = (this.#rest + chunk.toString('latin1')).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#line(line);
  }

  /** What has come since the last call. */
  take(): LogPiece[] {
    const pieces = this.#pieces;
    this.#pieces = [];
    return pieces;
  }

  #line(line: string): void {
    if (this.#bytesExpected > 0) {
      const packet = Buffer.from(line.replaceAll(' ', ''), 'hex');
      const stream = streams[packet[0] ?? 0];
      if (packet.length === this.#bytesExpected && stream !== undefined) {
        this.#pieces.push({ stream, data: packet.subarray(1) });
      }
      this.#bytesExpected = 0;
      return;
    }
    const found = header.exec(line);
    if (found !== null) this.#bytesExpected = Number(found[1]);
    else if (line.includes('starting data transfer loop')) this.begun = true;
    else if (line !== '') this.lastWords = line.replace(/^.* socat\[\d+\] [A-Z] /, '');
  }
}
