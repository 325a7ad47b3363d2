const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * The process environment: defaults, then the image, then the request; the last value of a name wins and keeps the first one's place.
 */
export function buildEnvironment(options: {
  readonly image: readonly string[];
  readonly requested: readonly { readonly key: string; readonly value: string }[];
  readonly hostname: string;
  readonly home: string;
  readonly tty: boolean;
}): string[] {
  const env = new Map<string, string>([
    ['PATH', defaultPath],
    ['HOSTNAME', options.hostname],
  ]);
  if (options.tty) env.set('TERM', 'xterm');
  for (const entry of options.image) {
    const at = entry.indexOf('=');
    if (at > 0) env.set(entry.slice(0, at), entry.slice(at + 1));
  }
  for (const { key, value } of options.requested) env.set(key, value);
  if (!env.has('HOME')) env.set('HOME', options.home);
  return [...env].map(([key, value]) => `${key}=${value}`);
}

export type Command = { readonly ok: true; readonly args: readonly string[] } | { readonly ok: false };

/** CRI `command` replaces the image's entrypoint and drops its `cmd`; `args` replaces `cmd`. */
export function buildCommand(
  requested: { readonly command: readonly string[]; readonly args: readonly string[] },
  image: { readonly entrypoint: readonly string[]; readonly cmd: readonly string[] },
): Command {
  const head = requested.command.length > 0 ? requested.command : image.entrypoint;
  const imageCmd = requested.command.length > 0 ? [] : image.cmd;
  const args = [...head, ...(requested.args.length > 0 ? requested.args : imageCmd)];
  return args.length > 0 && args[0] !== '' ? { ok: true, args } : { ok: false };
}
