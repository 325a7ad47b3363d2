import type { Fault, ProxiedRequest } from './faulty-proxy.js';

const anyRequest = (): boolean => true;

/** Each with the requests that meet it, and what `berth why` says of it where that is one thing. */
export const badAnswers: ReadonlyArray<[string, (request: ProxiedRequest) => boolean, Fault, RegExp?]> = [
  [
    '429 with Retry-After',
    anyRequest,
    { kind: 'answer', status: 429, headers: { 'retry-after': '1' }, body: '{}' },
    /[A-Z]+ \/\S+: 429 /,
  ],
  [
    '500',
    anyRequest,
    { kind: 'answer', status: 500, body: '{"kind":"Status","reason":"InternalError","message":"broken"}' },
    /[A-Z]+ \/\S+: 500 broken/,
  ],
  [
    'garbage',
    anyRequest,
    { kind: 'answer', status: 200, body: '<html>captive portal</html>' },
    /.*(not JSON|not a watch event): <html>captive portal/,
  ],
  [
    'garbage for all but watches',
    ({ isWatch }) => !isWatch,
    { kind: 'answer', status: 200, body: '{"kind":"Pod","items":7}' },
  ],
  [
    '410 Gone',
    ({ isWatch }) => isWatch,
    { kind: 'answer', status: 410, body: '{"kind":"Status","code":410,"reason":"Expired","message":"too old"}' },
  ],
  [
    'an expired event',
    ({ isWatch }) => isWatch,
    {
      kind: 'answer',
      status: 200,
      body: '{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}\n',
    },
  ],
  ['watches cut in the middle of an object', ({ isWatch }) => isWatch, { kind: 'cut', afterBytes: 700 }],
  ['slow answers', ({ isWatch }) => !isWatch, { kind: 'slow', delayMs: 300 }],
];
