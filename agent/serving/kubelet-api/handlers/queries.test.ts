import { expect, test } from 'vitest';
import type { ContainerStatus } from '../../../api/index.js';
import { HttpError } from '../http-error.js';
import { goDuration } from './configz.js';
import { logInstance } from './log-instance.js';
import { parseLogOptions } from './log-options.js';
import { commandStreams, forwardedPorts } from './stream-params.js';

const now = Date.parse('2026-01-02T03:04:05Z');

function outcome<T>(work: () => T): T | string {
  try {
    return work();
  } catch (err) {
    if (err instanceof HttpError) return `${err.failure.status} ${err.message}`;
    throw err;
  }
}

const unreadable = '400 {"message": "Unable to decode query."}';
const senseless = '422 {"message": "Invalid request."}';

test.each([
  ['', {}],
  ['follow=true&previous=1&timestamps', { follow: true, previous: true, timestamps: true }],
  ['follow=false&previous=0&timestamps=FALSE', { follow: false, previous: false, timestamps: false }],
  ['tailLines=0', { tailLines: 0 }],
  ['tail=5&tailLines=7', { tailLines: 5 }],
  ['tail=all&tailLines=7', { tailLines: undefined }],
  ['limitBytes=10&sinceSeconds=60', { limitBytes: 10, sinceMs: now - 60_000 }],
  ['sinceTime=2026-01-02T03:00:00Z', { sinceMs: Date.parse('2026-01-02T03:00:00Z') }],
  ['sinceTime=2026-01-02T05:00:00.5%2B02:00', { sinceMs: Date.parse('2026-01-02T03:00:00.5Z') }],
  ['stream=Stderr', { stream: 'stderr' }],
  ['insecureSkipTLSVerifyBackend=true&stream=All', { stream: undefined }],
  ['tailLines=x', unreadable],
  ['tailLines=', unreadable],
  ['sinceTime=yesterday', unreadable],
  ['sinceTime=2026-01-02', unreadable],
  ['tailLines=-1', senseless],
  ['limitBytes=0', senseless],
  ['sinceSeconds=0', senseless],
  ['sinceSeconds=1&sinceTime=2026-01-02T03:00:00Z', senseless],
  ['stream=stdlog', senseless],
  ['stream=Stdout&tailLines=1', senseless],
])('log options %s', (query, expected) => {
  const found = outcome(() => parseLogOptions(new URLSearchParams(query), now));
  if (typeof expected === 'string') expect(found).toBe(expected);
  else expect(found).toMatchObject(expected);
});

const what = 'container "c" in pod "p"';
const ended = (containerID?: string): NonNullable<ContainerStatus['state']> => ({
  terminated: { exitCode: 0, ...(containerID && { containerID }) },
});

test.each<[string, Partial<ContainerStatus> | undefined, boolean, string]>([
  ['running', { state: { running: {} }, containerID: 'berth://1' }, false, 'berth://1'],
  ['ended', { state: ended('berth://1') }, false, 'berth://1'],
  ['ended, with the next one not started', { state: ended(), lastState: ended('berth://0') }, false, 'berth://0'],
  [
    'waiting after an end',
    { state: { waiting: { reason: 'CrashLoopBackOff' } }, lastState: ended('berth://0') },
    false,
    'berth://0',
  ],
  [
    'the one before',
    { state: { running: {} }, containerID: 'berth://1', lastState: ended('berth://0') },
    true,
    'berth://0',
  ],
  ['none before', { state: { running: {} } }, true, `400 previous terminated ${what} not found`],
  ['ended without a trace', { state: ended() }, false, `400 ${what} is terminated`],
  [
    'pulled in vain',
    { state: { waiting: { reason: 'ErrImagePull' } } },
    false,
    `400 ${what} is waiting to start: image can't be pulled`,
  ],
  [
    'pulled in vain again',
    { state: { waiting: { reason: 'ImagePullBackOff' } } },
    false,
    `400 ${what} is waiting to start: trying and failing to pull image`,
  ],
  [
    'created',
    { state: { waiting: { reason: 'ContainerCreating' } } },
    false,
    `400 ${what} is waiting to start: ContainerCreating`,
  ],
  ['of no state', {}, false, `400 ${what} is waiting to start - no logs yet`],
  ['unknown', undefined, false, `400 ${what} is not available`],
])('the log of a container that is %s', (_name, status, previous, expected) => {
  const own = { name: 'c', image: '', imageID: '', ready: false, restartCount: 0, ...status };
  const all = status === undefined ? {} : { containerStatuses: [own] };
  expect(outcome(() => logInstance('p', 'c', all, previous).containerId)).toBe(expected);
});

test.each([
  ['input=1&output=1&error=1', { stdin: true, stdout: true, stderr: true, tty: false }],
  ['input=1&output=1&error=1&tty=1', { stdin: true, stdout: true, stderr: false, tty: true }],
  ['output=true&stdin=1', '400 you must specify at least 1 of stdin, stdout, stderr'],
  ['tty=1&error=1', '400 you must specify at least 1 of stdin, stdout, stderr'],
])('streams of %s', (query, expected) => {
  expect(outcome(() => commandStreams(new URLSearchParams(query)))).toEqual(expected);
});

test.each([
  ['port=80&port=443,8080', [80, 443, 8080]],
  ['', '400 query parameter "port" is required'],
  ['port=0', '400 port "0" must be > 0'],
  ['port=65536', '400 unable to parse "65536" as a port'],
  ['port=http', '400 unable to parse "http" as a port'],
])('ports of %s', (query, expected) => {
  expect(outcome(() => forwardedPorts(new URLSearchParams(query)))).toEqual(expected);
});

test.each([
  [0, '0s'],
  [1500, '1.5s'],
  [120_000, '2m0s'],
  [14_400_000, '4h0m0s'],
])('%d ms as Go prints it', (ms, text) => {
  expect(goDuration(ms)).toBe(text);
});
