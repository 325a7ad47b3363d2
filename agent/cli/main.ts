#!/usr/bin/env node
import { buildProgram } from './program.js';
import { runAlone, runClient } from './run-command.js';

const { program } = buildProgram({ client: runClient, alone: runAlone });
await program.parseAsync();
