import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { linkSignal } from '../../../../base/signals.js';
import { imageError } from '../image-error.js';

export interface WatchCopyOptions {
  readonly what: string;
  /** Where skopeo writes blobs until they are complete. */
  readonly partsDir: string;
  readonly isComplete: (digest: string) => Promise<boolean>;
  /** Layers by digest with their size, when known beforehand. */
  readonly expected: ReadonlyArray<{ readonly digest: string; readonly size: number }>;
  /** Give up when nothing has come for so long. */
  readonly stallTimeoutMs: number;
  readonly pollMs: number;
}

/**
 * Runs a copy while looking at what arrives: skopeo says nothing about its progress when its output is no terminal, and waits for
 * ever for a registry that went silent in the middle of a blob.
 */
export async function watchCopy(
  options: WatchCopyOptions,
  copy: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
  onProgress?: (text: string) => void,
): Promise<void> {
  using linked = linkSignal(signal);
  let seen = '';
  let quietSince = performance.now();
  let said = '';
  let looking = false;
  const look = async (): Promise<void> => {
    const state = await readState(options);
    const now = performance.now();
    if (state.fingerprint !== seen) {
      seen = state.fingerprint;
      quietSince = now;
    } else if (now - quietSince > options.stallTimeoutMs) {
      const seconds = Math.round(options.stallTimeoutMs / 1000);
      linked.abort(
        imageError('timed-out', `${options.what}: nothing came from the registry for ${seconds} s (${state.text})`),
      );
    }
    if (state.text !== said) onProgress?.((said = state.text));
  };
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    void look()
      .catch(() => {}) // a look that fails is made again; the copy itself says what is wrong
      .finally(() => (looking = false));
  }, options.pollMs);
  try {
    await copy(linked.signal);
  } finally {
    clearInterval(timer);
  }
}

async function readState(options: WatchCopyOptions): Promise<{ fingerprint: string; text: string }> {
  let partial = 0;
  const names: string[] = [];
  for (const entry of await readdir(options.partsDir, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const { size } = await stat(join(entry.parentPath, entry.name));
    names.push(`${entry.name}=${size}`);
    if (entry.name.startsWith('oci-put-blob')) partial += size;
  }
  let done = 0;
  let bytes = 0;
  for (const layer of options.expected) {
    if (!(await options.isComplete(layer.digest))) continue;
    done++;
    bytes += layer.size;
  }
  const total = options.expected.reduce((sum, layer) => sum + layer.size, 0);
  const text =
    total === 0
      ? `copying: ${mebibytes(partial)} in flight`
      : `copying: ${mebibytes(Math.min(total, bytes + partial))} of ${mebibytes(total)}, ${done} of ${options.expected.length} layers`;
  return { fingerprint: `${names.sort().join()}|${done}`, text };
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
