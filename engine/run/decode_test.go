package run

import (
	"reflect"
	"testing"
)

func TestNumbersStayWhatTheyAre(t *testing.T) {
	for text, want := range map[string]any{
		"0": 0, "-7": -7, "9007199254740993": 9007199254740993, "9223372036854775807": 9223372036854775807,
		"1.5": 1.5, "1e3": 1000, "2.0": 2, "1e300": 1e300, "9223372036854775808": 9223372036854775808.0, "-1e19": -1e19,
		`{"a":[12345678901234567,"12",null,true]}`: map[string]any{"a": []any{12345678901234567, "12", nil, true}},
	} {
		if got, err := decode([]byte(text)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %T %v, want %T %v (%v)", text, got, got, want, want, err)
		}
	}
	for _, text := range []string{"", "{", "1e999"} {
		if got, err := decode([]byte(text)); err == nil {
			t.Errorf("%q became %v", text, got)
		}
	}
}
