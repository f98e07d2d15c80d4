-- Copyright (c) 2026 kubeproof authors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- wrk -s report.lua URL [-- STATUS [MARKER]]
--
-- Adds one line of JSON to wrk's report, for the parser "wrk". An answer is good when it has the status STATUS and MARKER, a plain text, is in its
-- body; without MARKER when it has the status; without both when its status is 2xx. wrk itself only counts statuses above 399.

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

-- Each thread has its own globals. What is counted for every answer is in a table, which is faster than a global.
counts = {good = 0}
local counts, find = counts, string.find
local least, most, text = 200, 299, nil

function init(args)
  status, marker = tonumber(args[1]), args[2]
  if args[1] and not status then
    error("STATUS is " .. args[1] .. ", not a number")
  end
  least, most, text = status or 200, status or 299, marker
end

function response(code, headers, body)
  counts[code] = (counts[code] or 0) + 1
  if code >= least and code <= most and (not text or find(body, text, 1, true)) then
    counts.good = counts.good + 1
  end
end

local function object(values, form)
  local members = {}
  for name, value in pairs(values) do
    table.insert(members, string.format('"%s":' .. form, name, value))
  end
  table.sort(members)
  return "{" .. table.concat(members, ",") .. "}"
end

function done(summary, latency)
  local statuses, good, errors, times = {}, 0, {}, {}
  for _, thread in ipairs(threads) do
    for code, count in pairs(thread:get("counts")) do
      if code == "good" then
        good = good + count
      else
        statuses[code] = (statuses[code] or 0) + count
      end
    end
  end
  for _, kind in ipairs({"connect", "read", "write", "timeout", "status"}) do
    errors[kind] = summary.errors[kind]
  end
  -- Without an answer these would be no numbers.
  if summary.requests > 0 then
    times = {min = latency.min, max = latency.max, mean = latency.mean, stdev = latency.stdev}
    for name, percent in pairs({p50 = 50, p90 = 90, p95 = 95, p99 = 99, p999 = 99.9}) do
      times[name] = latency:percentile(percent)
    end
  end
  io.write(string.format(
    'WRK_JSON {"duration_us":%d,"requests":%d,"bytes":%.0f,"good":%d,"expected":{"status":%d,"marker":%s},"errors":%s,"statuses":%s,"latency_us":%s}\n',
    summary.duration, summary.requests, summary.bytes, good, threads[1]:get("status") or 0, threads[1]:get("marker") and "true" or "false",
    object(errors, "%d"), object(statuses, "%d"), object(times, "%.3f")))
end
